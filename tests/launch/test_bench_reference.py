"""What a network costs, counted from its graph."""

import numpy as np
import pytest
from openvino import Model, opset13

from atl_bringup.reference import network_cost


def test_operations_of_one_of_each_kind():
    picture = opset13.parameter([1, 3, 8, 8], np.float32)
    kernel = opset13.constant(np.ones((4, 3, 3, 3), np.float32))
    convolved = opset13.convolution(picture, kernel, [2, 2], [1, 1], [1, 1], [1, 1])  # (1, 4, 4, 4)
    tokens = opset13.reshape(convolved, np.array([1, 4, 16]), False)
    product = opset13.matmul(tokens, opset13.constant(np.ones((16, 5), np.float32)), False, False)  # (1, 4, 5)
    mixed = opset13.scaled_dot_product_attention(product, product, product)
    adds = 4 * 4 * 4 * 27 + 4 * 5 * 16 + 2 * 4 * 4 * 5
    assert network_cost(Model([mixed], [picture])) == pytest.approx(((4 * 27 + 16 * 5) / 1e6, 2 * adds / 1e9))


def test_a_transposed_product_shares_the_other_axis():
    a, b = opset13.parameter([7, 2], np.float32), opset13.parameter([7, 3], np.float32)
    product = opset13.matmul(a, b, True, False)
    assert network_cost(Model([product], [a, b]))[1] == pytest.approx(2 * 2 * 3 * 7 / 1e9)


def test_torch_counts_the_same_of_the_reference():
    pytest.importorskip("torch", reason="torch is not installed: only `atl bench --reference` and training need it")
    import openvino

    from atl_diffusion_node.paper_unet import STEPS, PaperUNet, cost, example

    net, inputs = PaperUNet().eval(), example(frames=8, side=16)
    model = openvino.convert_model(net, example_input=inputs, input=[tuple(i.shape) for i in inputs])
    assert network_cost(model)[1] * STEPS / 8 == pytest.approx(cost(8, 16)[1])
