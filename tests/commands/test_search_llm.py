"""``collision search policy=llm`` as a person types it, against a scripted server."""

import json

import pytest

from tests.commands.test_search import Home
from tests.commands.test_search import home as home  # a fixture
from tests.kit.llm_server import proposals, scripted

POINT = {"head": "linear", "loss": "bce", "optimizer.lr": 0.00123, "loss.gamma": None}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


def test_what_an_agent_answers_is_trained(home):
    with scripted(lambda asked: proposals(POINT)) as server:
        agents = (f"policy.base_url={server.url}", "policy.model=[a,b]", "policy.agents=2")
        given = ("policy=llm", *agents, "policy.mix=0.5", "policy.proposals=1", "workers=2")
        given = ("space=mine.yaml", *given, "budget=6", "confirm=0", "name=agents")
        home.types("search", *given, *home.given)
    rows = home.trials("agents")
    by = {row["proposer"] for row in rows}
    assert by & {"agent_0", "agent_1"} and "tpe" in by
    for row in rows:
        if row["proposer"].startswith("agent"):
            assert (row["head"], row["optimizer.lr"]) == ("linear", "0.00123")
    assert server.asked[0].told["budget"]["trials_left"] > 0
    assert str(home.root) not in json.dumps([asked.body for asked in server.asked])
