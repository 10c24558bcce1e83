"""The simulated Proxmox: machines that ask for their address, and what the guest agent says of them."""

import ipaddress

import pytest
from proxmoxer import ResourceException

from lab import dhcp
from lab.proxmox import faults, properties
from tests.helpers.proxmox import finished, keys, made, ssh, wait_for


def mac(vm, card: str = "net0") -> str:
    return properties.parse_net(card, vm.config.get()[card])["macaddr"]


def seen(vm, card: str = "net0") -> list[str]:
    """The IPv4 addresses that the agent tells of a card; none while it does not answer."""
    try:
        links = vm.agent("network-get-interfaces").get()["result"]
    except ResourceException as error:
        assert "QEMU guest agent is not running" in str(error)
        return []
    wanted = mac(vm, card)
    own = [link for link in links if link["hardware-address"].upper() == wanted]
    return [a["ip-address"] for link in own for a in link["ip-addresses"] if a["ip-address-type"] == "ipv4"]


def restarted(api, vm) -> None:
    assert finished(api, vm.status.stop.post()) == "OK"
    assert finished(api, vm.status.start.post()) == "OK"


def test_an_address_of_the_pool_stays_and_a_reserved_one_replaces_it(api, vm):
    vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=dhcp")
    assert finished(api, vm.status.start.post()) == "OK"
    wait_for(lambda: seen(vm))
    (address,) = seen(vm)
    first, last = (ipaddress.ip_address(end) for end in dhcp.POOL)
    assert first <= ipaddress.ip_address(address) <= last
    assert dhcp.leases()[mac(vm)] == address
    assert "default via 192.168.1.1 dev eth0" in ssh(address, "ip route")
    restarted(api, vm)
    wait_for(lambda: seen(vm) == [address])
    dhcp.reserve(mac(vm), "192.168.1.50")
    assert seen(vm) == [address], "only its next request asks for another"
    restarted(api, vm)
    wait_for(lambda: seen(vm) == ["192.168.1.50"])
    assert ssh("192.168.1.50", "hostname") == "vm-500\n"


def test_a_second_card_asks_for_itself(api, vm):
    vm.config.put(
        ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.23/24", net1="virtio,bridge=vmbr0",
        ipconfig1="ip=dhcp",
    )  # fmt: skip
    dhcp.reserve(mac(vm, "net1"), "192.168.1.51")
    assert finished(api, vm.status.start.post()) == "OK"
    wait_for(lambda: seen(vm, "net1") == ["192.168.1.51"])
    assert seen(vm) == ["192.168.1.23"]


def test_what_the_agent_answers_and_its_three_errors(api):
    for vm in made(api, 506):
        vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.24/24", agent="enabled=1")

        def refusal(command="network-get-interfaces", vm=vm) -> str:
            with pytest.raises(ResourceException) as error:
                vm.agent(command).get()
            return str(error.value)

        assert "VM 506 is not running" in refusal()
        vm.config.put(delete="agent")
        assert "No QEMU guest agent configured" in refusal()
        vm.config.put(agent="enabled=1")
        assert finished(api, vm.status.start.post()) == "OK"
        wait_for(lambda vm=vm: seen(vm))
        system = vm.agent("get-osinfo").get()["result"]
        assert (system["id"], system["version-id"], system["name"]) == ("debian", "12", "Debian GNU/Linux")
        assert vm.agent("ping").post() == {"result": {}}
        with faults.injected({"agent_silent": 506}):
            assert "QEMU guest agent is not running" in refusal()
            assert "QEMU guest agent is not running" in refusal("get-osinfo")
        assert seen(vm) == ["192.168.1.24"]
        vm.config.put(agent="0")
        restarted(api, vm)
        assert "QEMU guest agent is not running" in refusal(), "an agent that is off counts as configured"
