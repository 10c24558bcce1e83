"""The errors that Proxmox VE's API answers with."""


class ApiError(Exception):
    """An answer other than 200; `message` becomes the reason of the status line, as in pveproxy."""

    def __init__(self, message: str, status: int = 500, errors: dict[str, str] | None = None):
        super().__init__(message)
        self.message, self.status, self.errors = message, status, errors


def invalid(**errors: str) -> ApiError:
    """A parameter that does not fit the schema: 400 with the reason per parameter."""
    names = {name.rstrip("_").replace("__", "-"): text for name, text in errors.items()}
    return ApiError("Parameter verification failed.", 400, names)


def invalid_keys(errors: dict[str, str]) -> ApiError:
    """As `invalid`, for names that are not Python identifiers."""
    return ApiError("Parameter verification failed.", 400, errors)
