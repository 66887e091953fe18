// Runs the few ONNX operators that our graphs are made of, as the operators' documentation has them: plain
// loops over NCHW in double.
#pragma once

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/error.h"

namespace fp::testing {

struct Values {
    std::vector<int64_t> shape;
    std::vector<double> data;
    double at(int64_t n, int64_t c, int64_t h, int64_t w) const {
        return data[size_t(((n * shape[1] + c) * shape[2] + h) * shape[3] + w)];
    }
};

inline std::vector<int64_t> ints(const onnx::NodeProto& node, const std::string& name) {
    for (const auto& a : node.attribute())
        if (a.name() == name) return {a.ints().begin(), a.ints().end()};
    fail(node.op_type(), " without ", name);
}
inline int64_t number(const onnx::NodeProto& node, const std::string& name) {
    for (const auto& a : node.attribute())
        if (a.name() == name) return a.type() == onnx::AttributeProto::INT ? a.i() : int64_t(a.f());
    fail(node.op_type(), " without ", name);
}

// Every output (n, c, p, q) from the window over x at its place: visit(h, w, r, s) inside the map only.
template <class Output>
Values slide(const onnx::NodeProto& node, const Values& x, int64_t channels, Output output) {
    const auto size = ints(node, "kernel_shape"), stride = ints(node, "strides");
    std::vector<int64_t> pads{0, 0, 0, 0};
    if (node.op_type() != "AveragePool") pads = ints(node, "pads");
    const int64_t p = (x.shape[2] + pads[0] + pads[2] - size[0]) / stride[0] + 1,
                  q = (x.shape[3] + pads[1] + pads[3] - size[1]) / stride[1] + 1;
    Values y{.shape = {x.shape[0], channels, p, q}, .data = {}};
    for (int64_t n = 0; n < x.shape[0]; ++n)
        for (int64_t k = 0; k < channels; ++k)
            for (int64_t i = 0; i < p; ++i)
                for (int64_t j = 0; j < q; ++j)
                    y.data.push_back(output(n, k, [&](auto visit) {
                        for (int64_t r = 0; r < size[0]; ++r)
                            for (int64_t s = 0; s < size[1]; ++s) {
                                const int64_t h = i * stride[0] + r - pads[0], w = j * stride[1] + s - pads[1];
                                if (h >= 0 && h < x.shape[2] && w >= 0 && w < x.shape[3]) visit(h, w, r, s);
                            }
                    }));
    return y;
}

inline Values conv(const onnx::NodeProto& node, const Values& x, const Values& f, const Values* b) {
    FP_CHECK(number(node, "group") == 1 && ints(node, "dilations") == (std::vector<int64_t>{1, 1}),
             "a plain convolution");
    FP_CHECK(f.shape[1] == x.shape[1], "conv: ", f.shape[1], " channels for ", x.shape[1]);
    return slide(node, x, f.shape[0], [&](int64_t n, int64_t k, auto window) {
        double sum = b ? b->data[size_t(k)] : 0;
        for (int64_t c = 0; c < f.shape[1]; ++c)
            window([&](int64_t h, int64_t w, int64_t r, int64_t s) { sum += x.at(n, c, h, w) * f.at(k, c, r, s); });
        return sum;
    });
}

inline Values norm(const onnx::NodeProto& node, Values x, const std::vector<const Values*>& in) {
    double eps = 0;
    for (const auto& a : node.attribute())
        if (a.name() == "epsilon") eps = double(a.f());
    const int64_t map = x.shape[2] * x.shape[3];
    for (size_t i = 0; i < x.data.size(); ++i) {
        const size_t c = size_t(int64_t(i) / map % x.shape[1]);
        x.data[i] = (x.data[i] - in[3]->data[c]) / std::sqrt(in[4]->data[c] + eps) * in[1]->data[c] + in[2]->data[c];
    }
    return x;
}

inline Values gemm(const onnx::NodeProto& node, const Values& a, const Values& b, const Values& c) {
    FP_CHECK(number(node, "transB") == 1 && number(node, "alpha") == 1 && number(node, "beta") == 1, "y = a b' + c");
    Values y{.shape = {a.shape[0], b.shape[0]}, .data = {}};
    for (int64_t n = 0; n < a.shape[0]; ++n)
        for (int64_t k = 0; k < b.shape[0]; ++k) {
            double sum = c.data[size_t(k)];
            for (int64_t i = 0; i < a.shape[1]; ++i)
                sum += a.data[size_t(n * a.shape[1] + i)] * b.data[size_t(k * b.shape[1] + i)];
            y.data.push_back(sum);
        }
    return y;
}

inline Values run_node(const onnx::NodeProto& node, const std::vector<const Values*>& in) {
    const Values& x = *in[0];
    const std::string& op = node.op_type();
    if (op == "Conv") return conv(node, x, *in[1], in.size() > 2 ? in[2] : nullptr);
    if (op == "BatchNormalization") return norm(node, x, in);
    if (op == "Gemm") return gemm(node, x, *in[1], *in[2]);
    if (op == "MaxPool")
        return slide(node, x, x.shape[1], [&](int64_t n, int64_t c, auto window) {
            double most = -INFINITY;
            window([&](int64_t h, int64_t w, int64_t, int64_t) { most = std::max(most, x.at(n, c, h, w)); });
            return most;
        });
    if (op == "AveragePool")
        return slide(node, x, x.shape[1], [&](int64_t n, int64_t c, auto window) {
            double sum = 0, count = 0;
            window([&](int64_t h, int64_t w, int64_t, int64_t) {
                sum += x.at(n, c, h, w);
                count += 1;
            });
            return sum / count;
        });
    Values y = x;
    if (op == "Relu") {
        for (double& v : y.data) v = std::max(v, 0.0);
    } else if (op == "Add") {
        FP_CHECK(in[1]->shape == x.shape, "Add of two shapes");
        for (size_t i = 0; i < y.data.size(); ++i) y.data[i] += in[1]->data[i];
    } else if (op == "GlobalAveragePool") {
        const int64_t map = x.shape[2] * x.shape[3];
        y.shape[2] = y.shape[3] = 1;
        y.data.assign(x.data.size() / size_t(map), 0.0);
        for (size_t i = 0; i < x.data.size(); ++i) y.data[i / size_t(map)] += x.data[i] / double(map);
    } else if (op == "Flatten") {
        y.shape = {x.shape[0], int64_t(x.data.size()) / x.shape[0]};
    } else {
        fail("no operator ", op);
    }
    return y;
}

// The graph's one output for its one input.
inline Values run_graph(const onnx::GraphProto& graph, const Values& input) {
    std::map<std::string, Values> values{{graph.input(0).name(), input}};
    for (const auto& tensor : graph.initializer()) {
        std::vector<float> narrow(tensor.raw_data().size() / sizeof(float));
        std::memcpy(narrow.data(), tensor.raw_data().data(), tensor.raw_data().size());
        values[tensor.name()] = {.shape = {tensor.dims().begin(), tensor.dims().end()},
                                 .data = {narrow.begin(), narrow.end()}};
    }
    for (const auto& node : graph.node()) {
        std::vector<const Values*> in;
        for (const std::string& name : node.input()) in.push_back(&values.at(name));
        values[node.output(0)] = run_node(node, in);
    }
    return values.at(graph.output(0).name());
}

}  // namespace fp::testing
