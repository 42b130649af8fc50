"""Every family in every shipped domain, both found by glob: a new one can't escape."""

import math
from collections import Counter
from dataclasses import asdict, replace
from functools import cache

import av
import numpy as np
import pytest

from collision.config import part
from collision.datasets.synthetic import oracle as oracle_module
from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.paint.painter import Painter
from collision.datasets.synthetic.scene import NEGATIVE, POSITIVE, draw_scene, plan_scenes
from collision.datasets.synthetic.steering import steer_to
from collision.datasets.synthetic.traffic import CAMERA_AHEAD, PEOPLE, Play, states
from tests.kit.synthetic import DOMAINS, FAMILIES, shipped_set

each_family = pytest.mark.parametrize("family", FAMILIES)
each_domain = pytest.mark.parametrize("name", DOMAINS)


@cache
def domain_of(name):
    return shipped_set(name).domain


@cache
def drawn(family, name):
    plan = plan_scenes(40, {"train": 1}, {family: 1}, seed=11)
    return [draw_scene(planned, 11, domain_of(name)) for planned in plan]


def cut(scene, seconds):
    return np.array([scene.event_time - seconds])


# What each family promises


def test_the_globs_find_something():
    assert len(FAMILIES) >= 5 and len(DOMAINS) >= 2


@each_domain
@each_family
def test_contact_only_in_collisions_and_exactly_at_the_event(family, name):
    for scene in drawn(family, name):
        assert set(scene.conflict.plays) == {*POSITIVE, *NEGATIVE}
        before = np.arange(0, scene.event_time, 0.01)
        always = np.arange(0, scene.event_time + domain_of(name).tail[1], 0.01)
        for variant, play in scene.conflict.plays.items():
            if variant == "collision":
                assert (play.clearance(before) > 0).all()
                assert abs(play.clearance(cut(scene, 0.0))[0]) < 1e-6
                assert play.clearance(cut(scene, -0.02))[0] < 0
            else:
                assert (play.clearance(always) > 0).all(), (scene.number, variant)


@each_domain
@each_family
def test_variants_part_when_they_should(family, name):
    for scene in drawn(family, name):
        plays, event = scene.conflict.plays, scene.event_time
        collision = plays["collision"]
        assert scene.conflict.alert_time == collision.parts_from(plays["harmless"]) > 0
        assert event - scene.conflict.alert_time >= 1.5
        assert 1.5 <= event - collision.parts_from(plays["resolved"]) <= 3.0
        assert 0.5 < event - collision.parts_from(plays["near_collision"]) < 1.0
        assert event - plays["near_collision"].parts_from(plays["resolved"]) >= 1.5


@each_family
def test_lead_times_are_spread(family):
    """A family that finds a way out for few of its draws would show one braking alone."""
    leads = []
    for scene in drawn(family, "synthetic"):
        plays = scene.conflict.plays
        leads.append(scene.event_time - plays["collision"].parts_from(plays["resolved"]))
    assert min(leads) < 1.8 and max(leads) > 2.3 and np.std(leads) > 0.2


@each_domain
@each_family
def test_nobody_drives_beyond_the_grip_of_tyres(family, name):
    for scene in drawn(family, name):
        times = np.arange(0, scene.event_time, 0.02)
        for variant, play in scene.conflict.plays.items():
            hurried = variant == "near_collision"
            for who in (play.ego, play.agent):
                along, across = who.along.at(times), who.across.at(times)
                assert (along[:, 1] >= 0).all()
                assert np.abs(along[:, 2]).max() <= (8.5 if hurried else 6.5)
                assert np.abs(across[:, 2]).max() <= (7.5 if hurried else 4.0)


@each_domain
@each_family
def test_no_traffic_drives_through_the_agent(family, name):
    for scene in drawn(family, name):
        times = np.arange(0, scene.event_time + 1.0, 0.05)
        for play in scene.conflict.plays.values():
            for other in scene.bystanders:
                if other.along.speed > 0:
                    assert (Play(other, play.agent).clearance(times) >= 0).all(), scene.number


@each_domain
@each_family
def test_the_agent_of_a_collision_is_within_the_frame(family, name):
    domain = domain_of(name)
    for scene in drawn(family, name):
        play = scene.conflict.plays["collision"]
        for time in (scene.conflict.alert_time, *(scene.event_time - h for h in (1.5, 1.0, 0.5))):
            ego, agent = play.ego.place(time), play.agent.place(time)
            ahead = agent[1] - ego[1] - CAMERA_AHEAD
            nearest = max(abs(agent[0] - ego[0]) - play.agent.half_extent()[0], 0.0)
            assert ahead > 1.0
            assert domain.focal * nearest / ahead < domain.width / 2, (scene.number, time)


@each_domain
@each_family
def test_the_agent_of_a_collision_can_be_seen(family, name):
    """Nothing that stands or drives hides it: taking it away changes the picture."""
    for scene in drawn(family, name)[:4]:
        play = scene.conflict.plays["collision"]
        gone = Play(play.ego, replace(play.agent, z=-1000.0))
        number = math.floor((scene.event_time - 0.5) * scene.fps)
        painter = Painter(scene, domain_of(name))
        change = painter.paint(play, number).astype(int) - painter.paint(gone, number)
        assert (np.abs(change).max(axis=2) > 8).mean() > 0.002, scene.number


@each_domain
@each_family
def test_frames_are_the_same_until_the_clips_part(family, name):
    scene, domain = drawn(family, name)[0], domain_of(name)
    painter, fresh = Painter(scene, domain), Painter(scene, domain)
    first, second = (clip.play for clip in scene.clips)
    parted = int(scene.divergence * scene.fps)
    for number in (0, parted // 2, parted):
        assert np.array_equal(painter.paint(first, number), fresh.paint(second, number))
    late = int((scene.event_time - 0.5) * scene.fps)
    assert not np.array_equal(painter.paint(first, late), painter.paint(second, late))


@each_domain
@each_family
def test_states_are_the_same_until_the_clips_part(family, name):
    for scene in drawn(family, name):
        first, second = (clip.play for clip in scene.clips)
        times = np.arange(0, scene.divergence, 0.05)
        other = states(second, times)
        for column, values in states(first, times).items():
            assert np.array_equal(values, other[column], equal_nan=True), column


@each_family
def test_the_same_seed_draws_the_same_scene(family):
    (planned, _) = plan_scenes(2, {"train": 1}, {family: 1}, seed=11)
    first, again, other = (draw_scene(planned, seed, domain_of("synthetic")) for seed in (1, 1, 2))
    assert first == again and first != other


def test_steering_comes_to_rest_at_its_target_also_from_a_movement_under_way():
    begun = Motion(0.0, 0.0, reverses=True)
    for target, again in ((3.0, -1.0), (-2.0, 0.5), (1.0, 1.1)):
        first = steer_to(begun, 1.0, target, 2.0)
        assert first.at(9.0) == pytest.approx((target, 0.0, 0.0), abs=1e-9)
        second = steer_to(first, 1.6, again, 4.0)
        assert second.at(9.0) == pytest.approx((again, 0.0, 0.0), abs=1e-9)
        assert second.parts_from(first) == 1.6


def test_people_move_their_limbs():
    scene = drawn("pedestrian", "synthetic")[0]
    play, painter = scene.conflict.plays["collision"], Painter(scene, domain_of("synthetic"))
    number = math.floor((scene.event_time - 0.5) * scene.fps)
    # The same place, reached after a quarter of a stride more.
    agent = play.agent
    shifted = replace(agent, along=Motion(0.375, agent.along.speed), x=agent.x - 0.375)
    if agent.heading < 0:
        shifted = replace(shifted, x=agent.x + 0.375)
    assert shifted.place(2.0) == pytest.approx(agent.place(2.0))
    moved = painter.paint(Play(play.ego, shifted), number).astype(int) - painter.paint(play, number)
    assert (np.abs(moved).max(axis=2) > 8).sum() > 10
    kinds = {
        s.conflict.plays["harmless"].agent.shape.kind for s in drawn("pedestrian", "synthetic")
    }
    assert kinds == set(PEOPLE)


# What the shipped domains promise


@each_domain
def test_shipped_sets_are_balanced(name):
    options = shipped_set(name).parameters
    plan = plan_scenes(
        options["num_scenes"], options["splits"], options["families"], options["seed"]
    )
    splits = Counter(planned.split for planned in plan)
    assert set(splits) == {"train", "val", "test"} and splits["test"] >= 60
    for split, count in splits.items():
        pairs = Counter(planned.variants for planned in plan if planned.split == split)
        assert set(pairs.values()) == {count // 4}
    cells = Counter((p.family, p.variants) for p in plan if p.split == "test")
    for family in options["families"]:
        assert len({size for cell, size in cells.items() if cell[0] == family}) == 1


@each_domain
def test_domain_composes_and_generates(name, tmp_path, monkeypatch):
    monkeypatch.setattr(oracle_module, "NUM_TRAINING_SCENES", 40)
    chosen = part("dataset", name, root=str(tmp_path / "set"), num_workers=1)
    assert chosen.options["name"] == name
    families = chosen.options["families"]
    domain = {**chosen.options["domain"], "fps": {8: 1.0}, "event_time": [4.2, 4.4]}
    few = {"num_scenes": 2 * len(families), "families": dict.fromkeys(families, 1)}
    dataset = replace(chosen, options={**chosen.options, **few, "domain": domain}).build()
    dataset.prepare()
    records = dataset.records()
    assert len(records) == 4 * len(families) and sum(r.label for r in records) == len(records) / 2
    assert {record.tags["family"] for record in records} == set(families)
    with av.open(str(records[0].path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (dataset.domain.width, dataset.domain.height)
    assert dataset.oracle()["scores"]["all"]["ap"]["mean"]["value"] > 0.8


def test_domains_differ():
    day, night = domain_of("synthetic"), domain_of("synthetic_night")
    same = [name for name, value in asdict(day).items() if value == getattr(night, name)]
    assert sorted(same) == ["evade_lead", "resolve_lead"]  # what the labels mean
    assert max(night.light, key=night.light.get) == "Dark"


# Results were measured on the default set: it must stay what it is.

FRAMES = {  # (scene, clip, frame): mean grey of 3 x 4 areas
    # Normal, Clear, Highway, lead_brakes
    (0, 0, 33): [
        [177.5, 184.8, 191.5, 178.0], [119.2, 115.5, 131.9, 129.4],
        [100.3, 91.4, 94.5, 98.9],
    ],
    # Normal, Rain, Rural, lead_brakes
    (1, 0, 40): [
        [156.8, 171.6, 172.7, 163.3], [124.8, 128.6, 123.9, 124.9],
        [74.6, 75.3, 79.3, 72.8],
    ],
    # Normal, Clear, Urban, lead_brakes
    (2, 0, 33): [
        [88.5, 173.4, 168.6, 71.0], [98.7, 105.2, 102.3, 96.4],
        [88.8, 83.2, 83.6, 93.4],
    ],
    # Dark, Clear, Rural, crossing
    (3, 0, 37): [
        [24.9, 24.8, 23.5, 19.2], [21.4, 40.0, 49.8, 27.4],
        [41.4, 64.8, 65.4, 41.7],
    ],
    # Twilight, Rain, Urban, lead_brakes
    (7, 0, 38): [
        [48.4, 83.8, 79.2, 49.3], [48.3, 58.8, 55.2, 41.9],
        [48.3, 49.6, 51.2, 41.0],
    ],
}  # fmt: skip


@cache
def default_set():
    return shipped_set(root="somewhere/synthetic")


def areas(frame):
    grey = frame.mean(axis=2)
    return grey.reshape(3, frame.shape[0] // 3, 4, frame.shape[1] // 4).mean(axis=(1, 3))


@pytest.mark.parametrize("key", FRAMES)
def test_the_default_set_is_painted_as_ever(key):
    """If this fails on purpose, raise GENERATOR_VERSION and measure again.

    Means instead of a digest of the bytes: processors differ in the last bit of a warped pixel.
    """
    dataset = default_set()
    number, clip, frame = key
    scene = dataset.scenes[number]
    picture = Painter(scene, dataset.domain).paint(scene.clips[clip].play, frame)
    assert areas(picture) == pytest.approx(np.array(FRAMES[key]), abs=0.15)


def test_the_default_set_is_drawn_as_ever():
    dataset = default_set()
    assert dataset.folder.name == "synthetic-fd1b7888"
    scenes = dataset.scenes
    assert sum(len(scene.bystanders) for scene in scenes) == 1482
    assert sum(clip.num_frames for scene in scenes for clip in scene.clips) == 19601
    assert sum(scene.conflict.alert_time for scene in scenes) == pytest.approx(482.5809079)
