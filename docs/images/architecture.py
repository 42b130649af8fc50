"""Draw architecture.svg: the stations of the engine and what each hands to the next.

python docs/images/architecture.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.fonttype"] = "none"
matplotlib.rcParams["svg.hashsalt"] = "architecture"  # the same file each time
from matplotlib import pyplot  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

# Folders, what happens there, and what is handed on.
STATIONS = [
    (("datasets", "collision/records"), "index", "VideoRecord"),
    (("collision/sampling",), "choose moments", "Example"),
    (("collision/video",), "decode windows", "uint8 [B, T, H, W, 3]"),
    (("backbones", "collision/features"), "embed, cache", "[B, S, D]"),
    (("temporal", "collision/learning"), "fit a head", "logits [B], Predictor"),
    (("collision/metrics", "collision/evaluation"), "judge", "Estimate, Finding"),
    (("collision/report", "collision/runs"), "write", "results.html"),
]
INK, ACCENT, PAPER = "#1f2933", "#0b6e99", "#f2f5f7"


def main() -> None:
    """Draw the picture."""
    figure, axes = pyplot.subplots(figsize=(7.2, 7.4))
    axes.set(xlim=(0, 7), ylim=(-0.2, 2 * len(STATIONS)))
    axes.set_axis_off()
    for number, (folders, action, result) in enumerate(STATIONS):
        missing = [folder for folder in folders if not (ROOT / folder).is_dir()]
        assert not missing, missing
        top = 2 * (len(STATIONS) - number) - 0.2
        axes.add_patch(
            pyplot.Rectangle(
                (0.3, top - 1.2), 5.4, 1.2, fc=PAPER, ec=INK, lw=1.2, joinstyle="round"
            )
        )
        axes.text(0.6, top - 0.42, f"{number + 1}  {action}", color=INK, weight="bold", va="center")
        axes.text(
            0.6, top - 0.86, "   ".join(f"{f}/" for f in folders), color=INK, family="monospace",
            fontsize=8.5, va="center",
        )  # fmt: skip
        axes.text(3.2, top - 1.62, result, color=ACCENT, fontsize=10, va="center")
        if number + 1 < len(STATIONS):
            axes.annotate(
                "",
                (3.0, top - 2.02),
                (3.0, top - 1.2),
                arrowprops={"arrowstyle": "->", "color": ACCENT},
            )
    axes.annotate(
        "", (6.3, 2 * len(STATIONS) - 0.4), (6.3, 0.6),
        arrowprops={"arrowstyle": "->", "color": INK, "lw": 0.8},
    )  # fmt: skip
    axes.text(
        6.55, len(STATIONS), "imports go up only", rotation=270, color=INK, fontsize=9, va="center"
    )
    figure.savefig(
        HERE / "architecture.svg", bbox_inches="tight", facecolor="white", metadata={"Date": None}
    )


if __name__ == "__main__":
    main()
