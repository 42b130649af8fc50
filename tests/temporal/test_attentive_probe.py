import pytest
import torch
from torch import nn
from transformers import VJEPA2Config
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2AttentivePooler

from collision.errors import ConfigError
from collision.temporal.attentive_probe import AttentiveProbe

DIM, HEADS = 16, 4


def make_batch():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 6, DIM, generator=generator)
    return features, torch.zeros(3, 6), torch.ones(3, 6, dtype=torch.bool)


def make_encoder(**options):
    torch.manual_seed(0)
    given = {"dim": None, "heads": HEADS, "feedforward_factor": 4.0, "dropout": 0.0, **options}
    return AttentiveProbe(input_dim=DIM, **given).eval()


@torch.no_grad()
def test_it_is_a_query_in_torchs_attention_and_a_feedforward_module():
    encoder = make_encoder(dim=8)
    probe = encoder.probe
    peer = nn.MultiheadAttention(8, HEADS, batch_first=True)
    parts = probe.attention.query_projection, probe.attention.key_value_projection
    peer.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    peer.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    peer.out_proj.weight.copy_(torch.eye(8))  # there is none between the heads and what follows
    features, times, mask = make_batch()
    mask[1, :3] = mask[2, 5:] = False
    queries, steps = probe.queries.expand(3, -1, -1), probe.steps_norm(encoder.projection(features))
    hidden = queries + peer(queries, steps, steps, key_padding_mask=~mask)[0]
    wanted = (hidden + probe.feedforward(probe.feedforward_norm(hidden)))[:, 0]
    found = encoder(features, times, mask)
    for row in range(3):
        valid = found[row, mask[row]]
        torch.testing.assert_close(valid, wanted[row].expand_as(valid))
    assert (found[~mask] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("layers", [0, 3])
def test_the_protocol_is_the_pooler_of_v_jepa_2(layers):
    """As Transformers has it, with its weights under our names."""
    config = VJEPA2Config(
        hidden_size=DIM, num_attention_heads=HEADS, mlp_ratio=4.0, num_pooler_layers=layers
    )
    torch.manual_seed(1)
    peer = VJEPA2AttentivePooler(config).eval()
    for parameter in peer.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))  # norms and the query begin at nothing
    encoder = make_encoder(layers=layers)
    for norm in (one for one in encoder.modules() if isinstance(one, nn.LayerNorm)):
        norm.eps = config.layer_norm_eps
    encoder.load_state_dict(renamed(peer.state_dict(), layers))
    batch = make_batch()
    torch.testing.assert_close(encoder(*batch)[:, -1], peer(batch[0]), atol=1e-5, rtol=1e-5)


def renamed(state, layers):
    """The pooler's weights as our state dict: keys and values are one layer there."""
    ours = {"probe.queries": state["query_tokens"][0]}
    blocks = [("cross_attention_layer", "cross_attn", "probe", "steps_norm")]
    for n in range(layers):
        here = f"self_attention_layers.{n}", "self_attn", f"blocks.{n}", "attention_norm"
        blocks.append(here)
    for theirs, attention, name, first_norm in blocks:
        for kind in ("weight", "bias"):
            parts = {p: state.get(f"{theirs}.{attention}.{p}_proj.{kind}") for p in "qkv"}
            ours[f"{name}.attention.query_projection.{kind}"] = parts["q"]
            ours[f"{name}.attention.key_value_projection.{kind}"] = torch.cat(
                [parts["k"], parts["v"]]
            )
            if attention == "self_attn":
                out = state[f"{theirs}.self_attn.out_proj.{kind}"]
                ours[f"{name}.attention.out_projection.{kind}"] = out
            ours[f"{name}.{first_norm}.{kind}"] = state[f"{theirs}.layer_norm1.{kind}"]
            ours[f"{name}.feedforward_norm.{kind}"] = state[f"{theirs}.layer_norm2.{kind}"]
            ours[f"{name}.feedforward.0.{kind}"] = state[f"{theirs}.mlp.fc1.{kind}"]
            ours[f"{name}.feedforward.3.{kind}"] = state[f"{theirs}.mlp.fc2.{kind}"]
    return ours


@torch.no_grad()
def test_queries_lie_side_by_side_and_the_order_of_steps_plays_no_part():
    encoder = make_encoder(queries=3, layers=1)
    features, times, mask = make_batch()
    found = encoder(features, times, mask)
    assert found.shape == (3, 6, 3 * DIM) and encoder.output_dim == 3 * DIM
    assert (found[..., :DIM] - found[..., DIM : 2 * DIM]).abs().max() > 1e-3
    torch.testing.assert_close(encoder(features.flip(1), times, mask), found)


def test_dropout_acts_in_training_alone():
    encoder = make_encoder(dropout=0.5, layers=1)
    batch = make_batch()
    dropped = encoder.train()(*batch)
    assert (dropped - encoder.eval()(*batch)).abs().max() > 0.01
    assert torch.equal(encoder(*batch), encoder(*batch))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "^head.dim=0"),
        ({"heads": 3}, "^head.heads=3: attention heads share 16"),
        ({"layers": -1}, "^head.layers=-1: give 0 or more"),
        ({"queries": 0}, "^head.queries=0: give 1 or more"),
        ({"dropout": 1.0}, "^head.dropout=1.0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make_encoder(**options)
