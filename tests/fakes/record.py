"""Record the answers that the fake libpod is made of: ``python -m tests.fakes.record`` beside a running Podman.

Makes a pod ``podsupd-recording`` of busybox, writes one JSON file for each answer below recordings/VERSION, and
removes the pod again. Run it against another Podman to get that one's shapes.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from podsupd.libpod import find_url
from podsupd.libpod.connection import API, socket_path

RECORDINGS = Path(__file__).parent / "recordings"
NAME = "podsupd-recording"
IMAGE = "docker.io/library/busybox:latest"


async def main() -> None:
    """Record everything, in the order in which a pod lives."""
    connector = aiohttp.UnixConnector(socket_path(find_url("")))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
            async with session.request(method, f"http://podman{API}{path}", json=body) as response:
                text = await response.text()
                return json.loads(text) if text else None

        info = await call("GET", "info")
        folder = RECORDINGS / info["version"]["Version"]
        folder.mkdir(parents=True, exist_ok=True)

        def keep(name: str, answer: Any) -> None:
            (folder / f"{name}.json").write_text(json.dumps(answer, indent=1) + "\n")

        async with session.get(f"http://podman{API}events", params={"stream": "true"}) as events:
            pod = await call(
                "POST", "pods/create", {"name": NAME, "hostname": NAME, "shared_namespaces": ["net", "pid"]}
            )
            container = await call(
                "POST",
                "containers/create",
                {"name": f"{NAME}-c", "pod": pod["Id"], "image": IMAGE, "entrypoint": ["sleep"], "command": ["100"]},
            )
            path = f"containers/{container['Id']}"
            keep("info", info)
            keep("image_inspect", await call("GET", f"images/{IMAGE}/json"))
            keep("container_created", await call("GET", f"{path}/json"))
            keep("container_not_running", await call("POST", f"{path}/kill?signal=SIGKILL"))
            await call("POST", f"{path}/start")
            keep("container_running", await call("GET", f"{path}/json"))
            keep("pod_inspect", pod_doc := await call("GET", f"pods/{NAME}/json"))
            keep("infra_running", await call("GET", f"containers/{pod_doc['InfraContainerID']}/json"))
            keep("pods", [p for p in await call("GET", "pods/json") if p["Name"] == NAME])
            listed = await call("GET", "containers/json?all=true")
            keep("containers", [c for c in listed if c["Id"] == container["Id"]])
            keep("container_running_removed", await call("DELETE", f"{path}?force=false"))
            keep("pod_running_removed", await call("DELETE", f"pods/{pod['Id']}?force=false"))
            keep("pod_exists", await call("POST", "pods/create", {"name": NAME}))
            keep("container_exists", await call("POST", "containers/create", {"name": f"{NAME}-c", "image": IMAGE}))
            keep("image_missing", await call("POST", "containers/create", {"image": f"{IMAGE}-missing"}))
            keep("bad_signal", await call("POST", f"{path}/kill?signal=SIGFOO"))
            keep("no_pod", await call("GET", f"pods/{NAME}-missing/json"))
            keep("no_container", await call("GET", f"containers/{NAME}-missing/json"))
            await call("POST", f"{path}/kill?signal=SIGKILL")
            async for line in events.content:
                event = json.loads(line)
                if event["Action"] in {"start", "died"} and event["Actor"]["ID"] == container["Id"]:
                    keep(f"event_{event['Action']}", event)
                if event["Action"] == "died":
                    break
            await call("POST", f"{path}/wait?condition=exited")
            keep("container_exited", await call("GET", f"{path}/json"))
            keep("pod_removed", await call("DELETE", f"pods/{pod['Id']}?force=false"))
        volume = {"Name": NAME, "Label": {"a": "b"}}
        keep("volume", await call("POST", "volumes/create", volume))
        keep("volume_exists", await call("POST", "volumes/create", volume))
        await call("DELETE", f"volumes/{NAME}")


if __name__ == "__main__":
    asyncio.run(main())
