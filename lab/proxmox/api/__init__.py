"""What each request of the API does: a file for each subject, a function with `@route` for each request.

A file is found by being here, so that a new request is one function in one place.
"""

import importlib
import pkgutil

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
