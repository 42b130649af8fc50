"""Makes the pictures of docs/serve.md.

python docs/images/serve.py RUN [RUN ...] [CLIP ...] [to=FOLDER]

It needs Playwright and Debian's chromium. RUN are run folders, CLIP video files (default:
examples/*.mp4). Into this folder it puts the two that the page shows; with to=FOLDER all four.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VIEWS = {
    "serve.jpg": (1280, 1080, "light"),
    "serve_dark.jpg": (1280, 1080, "dark"),
    "serve_phone.jpg": (390, 844, "light"),
    "serve_phone_dark.jpg": (390, 844, "dark"),
}
KEPT = ("serve.jpg", "serve_phone_dark.jpg")  # the page shows these two; the others are to look at


def main(arguments: list[str], target: Path) -> None:
    """Serve the runs, predict the clips, and take the pictures."""
    runs = [one for one in arguments if Path(one).is_dir()]
    clips = [one for one in arguments if one not in runs] or sorted(
        map(str, (ROOT / "examples").glob("*.mp4"))
    )
    command = [sys.executable, "-m", "collision", "serve", *runs, "port=0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        address = next(word for word in server.stdout.readline().split() if "://" in word)
        with sync_playwright() as driver:
            chromium = shutil.which("chromium")
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.goto(address)
            page.set_input_files("#files", clips)
            page.locator("#cards article[data-state=done]").nth(len(clips) - 1).wait_for(
                timeout=600_000
            )
            for name, (width, height, scheme) in VIEWS.items():
                if target == HERE and name not in KEPT:
                    continue
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme=scheme)
                page.locator("#cards article input[type=range]").first.focus()
                page.keyboard.press("End")
                page.wait_for_timeout(1500)  # the frame is there
                page.evaluate("scrollTo(0, 0)")
                whole = name not in KEPT
                page.screenshot(path=target / name, full_page=whole, type="jpeg", quality=85)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    asked = [one for one in sys.argv[1:] if not one.startswith("to=")]
    folders = [Path(one.removeprefix("to=")) for one in sys.argv[1:] if one.startswith("to=")]
    main(asked, folders[0] if folders else HERE)
