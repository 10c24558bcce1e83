"""Keep Vault's token alive: a periodic token lives for as long as somebody renews it."""

from fleet.clusters.vault import PATH
from fleet.findings import Fault, Finding
from fleet.vault.access import DAY, REPLACE, SOON
from fleet.vault.client import Client, words_of
from fleet.vault.secret import MOUNT


def renew(addr: str, token: str) -> tuple[str, Finding | None]:
    """Renew the token; what became of it, and a warning when it will end although it was renewed. Raises Fault."""
    from hvac.exceptions import InvalidRequest

    client = Client(addr, token, MOUNT, PATH)
    client.denied = "to renew itself: it is invalid or expired, or lacks Vault's policy `default`"
    try:
        data = client.ask(client.token.lookup_self)["data"]
        if data.get("expire_time") is None and not data["ttl"]:
            return "Vault's token does not expire", None
        renewable, seconds = data["renewable"], data["ttl"]
        if renewable:
            seconds = client.ask(client.token.renew_self)["auth"]["lease_duration"]
    except InvalidRequest as error:
        raise Fault(f"Vault did not renew the token: {words_of(error)}", code=2) from None
    except (TypeError, KeyError):
        raise client.not_vault() from None
    days = seconds / DAY
    left = f"ends in {days:.0f} days" if days >= 2 else f"ends in {seconds / 3600:.1f} hours"
    if not renewable:
        return f"not renewed: it {left}", Finding(
            f"Vault's token {left} and cannot be renewed: {REPLACE}", level="warning"
        )
    if days < SOON:
        warning = f"Vault's token {left} unless it is renewed before: {REPLACE}"
        return f"renewed: it {left}", Finding(warning, level="warning")
    return f"renewed: it {left} unless it is renewed again", None
