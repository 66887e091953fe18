// What cuDNN's graph interface says of our operations where there is no GPU: descriptors are checked when they are
// finalized, which needs none. Which plans there are, and what they compute, only a GPU tells (tests/kernels, backend
// `cudnn`).
#include "kernels/cudnn/graph.h"

#include <gtest/gtest.h>

namespace fp::cudnn {

// In place of table.cpp, which opens the libraries on a GPU.
const Libraries& libraries() {
    static const Libraries none;
    return none;
}

namespace {

const ConvShape kShape{.x = {.n = 2, .c = 64, .h = 14, .w = 14, .block = 64},
                       .w = {.k = 64, .c = 64, .r = 3, .s = 3, .k_block = 1, .c_block = 64},
                       .stride = 1,
                       .pad = 1,
                       .y_block = 64};

TEST(OperationGraph, EveryPassOfAConvolutionIsOne) {
    using enum OperationGraph::Pass;
    for (const OperationGraph::Pass pass : {forward, data, filter})
        for (const cudnnDataType_t type : {CUDNN_DATA_BFLOAT16, CUDNN_DATA_FLOAT}) {
            OperationGraph graph;
            const int x = graph.tensor({2, 64, 14, 14}, type);
            const int w = graph.tensor({64, 64, 3, 3}, type);
            const int y = graph.tensor({2, 64, 14, 14}, type);
            EXPECT_NO_THROW(graph.convolution(pass, kShape, x, w, y));
        }
}

TEST(OperationGraph, BiasResidualAndReluFollowAConvolution) {
    OperationGraph graph;
    const std::array<int64_t, 4> map{2, 64, 14, 14};
    const int x = graph.tensor(map, CUDNN_DATA_BFLOAT16);
    const int w = graph.tensor({64, 64, 3, 3}, CUDNN_DATA_BFLOAT16);
    const int convolved = graph.tensor(map, CUDNN_DATA_FLOAT, false);
    const int bias = graph.tensor({1, 64, 1, 1}, CUDNN_DATA_FLOAT);
    const int biased = graph.tensor(map, CUDNN_DATA_FLOAT, false);
    const int residual = graph.tensor(map, CUDNN_DATA_BFLOAT16);
    const int sum = graph.tensor(map, CUDNN_DATA_FLOAT, false);
    const int y = graph.tensor(map, CUDNN_DATA_BFLOAT16);
    EXPECT_NO_THROW(graph.convolution(OperationGraph::Pass::forward, kShape, x, w, convolved));
    EXPECT_NO_THROW(graph.add(convolved, bias, biased));
    EXPECT_NO_THROW(graph.add(biased, residual, sum));
    EXPECT_NO_THROW(graph.relu(sum, y));
}

TEST(OperationGraph, ATensorThatDoesNotFitIsNamed) {
    OperationGraph graph;
    const int x = graph.tensor({2, 64, 14, 14}, CUDNN_DATA_BFLOAT16);
    const int w = graph.tensor({64, 64, 3, 3}, CUDNN_DATA_BFLOAT16);
    const int y = graph.tensor({2, 64, 13, 14}, CUDNN_DATA_BFLOAT16);
    EXPECT_THROW(graph.convolution(OperationGraph::Pass::forward, kShape, x, w, y), Error);
}

}  // namespace
}  // namespace fp::cudnn
