from atmodist.metric.weights import weights_digest
from atmodist.training.saving import load_network, save_network
from tests.metric.encoders import made_encoder


def test_a_network_is_known_again_and_another_is_not(tmp_path):
    network = made_encoder()
    save_network(network, tmp_path / "a.keras")
    digest = weights_digest(network)
    assert weights_digest(load_network(tmp_path / "a.keras")) == digest
    statistics = next(w for w in network.weights if "moving_mean" in w.path)
    statistics.assign(statistics + 1e-3)
    assert weights_digest(network) != digest
