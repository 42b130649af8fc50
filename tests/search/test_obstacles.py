"""Which backbones of a space cannot be built here."""

from collision.search.obstacles import obstacles
from collision.search.space import Space

SPACE = """
cells:
  backbone:
    - optical_flow
    - {name: both, backbone: fusion, backbone.parts: [optical_flow, efficientnet_lite0]}
    - name: lost
      backbone: fusion
      backbone.parts: [optical_flow, efficientnet_lite0]
      backbone.options: {efficientnet_lite0: {weights: /nowhere/to/be.found}}
"""


def test_of_a_fusion_each_backbone_must_be_there(tmp_path):
    (tmp_path / "mine.yaml").write_text(SPACE)
    found = {choice.name: why for choice, why in obstacles(Space.load(str(tmp_path / "mine.yaml")))}
    assert found["optical_flow"] == found["both"] == ""
    assert "/nowhere/to/be.found" in found["lost"]
