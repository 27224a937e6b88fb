"""What the handlers find in their application."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from podsupd.ports import Control
from podsupd.web.closing import Closing
from podsupd.web.metrics import PrometheusMeter

CONTROL: web.AppKey[Control] = web.AppKey("control", Control)
METER: web.AppKey[PrometheusMeter] = web.AppKey("meter", PrometheusMeter)
CLOSING: web.AppKey[Closing] = web.AppKey("closing", Closing)
OPENAPI: web.AppKey[Mapping[str, Any]] = web.AppKey("openapi", Mapping[str, Any])
