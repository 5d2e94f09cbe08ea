"""What the README promises: its curl story runs as it is written."""

import asyncio
import re
from pathlib import Path

from support.running_demo import Demo

ROOT = Path(__file__).parents[2]


def story() -> str:
    text = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- story -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


async def test_curl_alone_can_do_the_whole_story(demo: Demo, tmp_path: Path) -> None:
    script = (
        story()
        .replace("http://localhost:8080", demo.gateway)
        .replace("PASSWORD=...", f"PASSWORD={demo.password}")
    )
    script = script.replace(".venv/bin/python", str(ROOT / ".venv/bin/python"))
    process = await asyncio.create_subprocess_exec(
        *("bash", "-eu", "-c", script), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    assert said.count('"status": "processing"') == 2, said
    assert '"revoked"' in said
    assert '"reason": "no-session"' in said.splitlines()[-1]
