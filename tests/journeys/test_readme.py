"""What the README promises: its curl story run as it is written, and so do the guide's files."""

import asyncio
import re
from pathlib import Path

from support.running_demo import Demo

from gateway.app import load_configuration

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
    assert re.search(r'"confirmed": true, "nodes": 1, "silent": 0, "elapsed_ms": [0-9.]+', said), said
    assert "closed with 1008: the session was ended" in said
    assert '"reason": "no-session"' in said.splitlines()[-1]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert not [file.name for file in tmp_path.iterdir() if f"/{file.name}" not in ignored]


def test_the_files_of_the_guide_run_as_they_are_written(tmp_path: Path) -> None:
    policy, settings = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(), re.DOTALL)
    for name, text in (("policies/notes.yaml", policy), ("config/gateway.yaml", settings)):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text(text)
    _, policies = load_configuration(tmp_path / "config" / "gateway.yaml", {})
    assert [app.name for app in policies.apps] == ["notes"]
