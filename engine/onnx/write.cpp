#include "engine/onnx/write.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <limits>

#include "engine/core/inference_weights.h"
#include "engine/core/trace.h"
#include "engine/run/checkpoint_json.h"
#include "engine/run/version.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr int kOpset = 13, kIr = 7;

using Attribute = onnx::AttributeProto;
Attribute& add_attribute(onnx::NodeProto& node, const char* name, Attribute::AttributeType type) {
    Attribute& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(type);
    return attribute;
}
void set(onnx::NodeProto& node, const char* name, std::initializer_list<int64_t> values) {
    Attribute& attribute = add_attribute(node, name, Attribute::INTS);
    for (const int64_t v : values) attribute.add_ints(v);
}
void set(onnx::NodeProto& node, const char* name, int64_t value) {
    add_attribute(node, name, Attribute::INT).set_i(value);
}
void set(onnx::NodeProto& node, const char* name, double value) {
    add_attribute(node, name, Attribute::FLOAT).set_f(float(value));
}

void set_window(onnx::NodeProto& node, int window, int stride, int pad) {
    set(node, "kernel_shape", {window, window});
    set(node, "strides", {stride, stride});
    set(node, "pads", {pad, pad, pad, pad});
}

// A float tensor (N, dims...).
void describe(onnx::ValueInfoProto& value, const char* name, std::initializer_list<int> dims) {
    value.set_name(name);
    auto* tensor = value.mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(onnx::TensorProto::FLOAT);
    tensor->mutable_shape()->add_dim()->set_dim_param("N");
    for (const int d : dims) tensor->mutable_shape()->add_dim()->set_dim_value(d);
}

class GraphWriter {
public:
    GraphWriter(const Network& network, const std::vector<Node>& rows, bool fold_norms, onnx::GraphProto& graph)
        : params_(network.params), rows_(rows), fold_norms_(fold_norms), graph_(graph), values_(rows.size()) {}

    void write() {
        for (int row = 0; row < int(rows_.size()); ++row) write(row);
        const Node& last = rows_.back();
        FP_CHECK(is<LinearShape>(last.op), "onnx: the last row is ", name(last.op));
        graph_.mutable_node(graph_.node_size() - 1)->set_output(0, "logits");
        describe(*graph_.add_input(), "images", {rows_[0].value.map.c, rows_[0].value.map.h, rows_[0].value.map.w});
        describe(*graph_.add_output(), "logits", {last.value.map.c});
    }

private:
    void write(int row) {
        const Node& r = rows_[row];
        std::visit(
            Cases{[&](const InputOp&) { values_[row] = "images"; }, [&](const ConvShape& s) { write_conv(row, s); },
                  [&](const BatchNormShape& s) { write_norm(row, s); }, [&](const ReluOp&) { add("Relu", row); },
                  [&](const AddOp&) { add("Add", row).add_input(values_[r.inputs[1].row]); },
                  [&](const MaxPoolShape& s) { set_window(add("MaxPool", row), s.window, s.stride, s.pad); },
                  [&](const AvgPoolShape& s) { write_avgpool(row, s); }, [&](const LinearShape&) { write_linear(row); },
                  // Rows of training, and of kernels that run several ops.
                  [&](const one_of<PairedNormOp, NormPairOp, NormPoolOp, DropoutOp, LossShape> auto&) {
                      fail("onnx: the op ", name(r.op), " has no counterpart");
                  }},
            r.op);
    }

    // The norm that alone reads a convolution's output, if there is one.
    const Node* norm_of(int row) const {
        if (row + 1 == int(rows_.size())) return nullptr;
        const Node& next = rows_[row + 1];
        return is<BatchNormShape>(next.op) && next.inputs[0].row == row ? &next : nullptr;
    }

    void write_conv(int row, const ConvShape& shape) {
        const Node& r = rows_[row];
        const Param& weight = param(r, 0);
        const Param* bias = r.params.size() > 1 ? &param(r, 1) : nullptr;
        auto& node = add("Conv", row);
        node.add_input(weight.name);
        set_window(node, shape.w.r, shape.stride, shape.pad);
        set(node, "dilations", {1, 1});
        set(node, "group", int64_t(1));
        const Node* norm = fold_norms_ ? norm_of(row) : nullptr;
        if (!norm) {
            add_initializer(weight);
            if (bias) node.add_input(add_initializer(*bias));
            return;
        }
        const Norm folded{.gamma = &param(*norm, 0),
                          .beta = &param(*norm, 1),
                          .running_mean = &param(*norm, 2),
                          .running_var = &param(*norm, 3),
                          .eps = std::get<BatchNormShape>(norm->op).eps};
        const Folded conv = fold(params_, weight, bias, &folded);
        std::vector<double> filter = params_.get(weight);
        const size_t each = filter.size() / conv.scale.size();
        for (size_t i = 0; i < filter.size(); ++i) filter[i] *= conv.scale[i / each];
        add_initializer(weight.name, weight.file_shape(), {filter.begin(), filter.end()});
        node.add_input(add_initializer(r.layer + ".bias", {weight.shape.k}, {conv.bias.begin(), conv.bias.end()}));
    }

    void write_norm(int row, const BatchNormShape& s) {
        FP_CHECK(!s.relu && !s.residual, "onnx: row ", row, " runs several ops");
        const Node& r = rows_[row];
        const int before = r.inputs[0].row;
        if (fold_norms_ && is<ConvShape>(rows_[before].op) && norm_of(before) == &r) {
            values_[row] = values_[before];
            return;
        }
        auto& node = add("BatchNormalization", row);
        for (int i = 0; i < 4; ++i) node.add_input(add_initializer(param(r, i)));
        set(node, "epsilon", s.eps);
    }

    void write_avgpool(int row, const AvgPoolShape& s) {
        const Map x = s.x, y = s.y();
        if (y.h == 1 && y.w == 1) {
            add("GlobalAveragePool", row);
            return;
        }
        const unsigned stride = std::bit_floor(unsigned(rows_[0].value.map.h / x.h));  // each halving rounds down
        FP_REQUIRE(x.h % y.h == 0 && x.w % y.w == 0, Exit::data, "ONNX has no mean of a ", x.h, "x", x.w, " map over ",
                   y.h, "x", y.w, " windows of unequal size; export at an --image-size of a multiple of ",
                   stride * unsigned(y.h));
        auto& node = add("AveragePool", row);
        set(node, "kernel_shape", {x.h / y.h, x.w / y.w});
        set(node, "strides", {x.h / y.h, x.w / y.w});
    }

    void write_linear(int row) {
        const Node& r = rows_[row];
        const int x = r.inputs[0].row;
        if (!flattened_) {
            auto& flat = add("Flatten", row);
            set(flat, "axis", int64_t(1));
            flat.set_name("flatten");
            flat.set_output(0, "flatten");
            values_[x] = "flatten";
            flattened_ = true;
        }
        auto& node = add("Gemm", row);
        for (size_t i = 0; i < r.params.size(); ++i) node.add_input(add_initializer(param(r, int(i))));
        set(node, "alpha", 1.0);
        set(node, "beta", 1.0);
        set(node, "transB", int64_t(1));
    }

    // A node that reads the row's first input; its output is named for the layer, or the op and the row.
    onnx::NodeProto& add(const char* type, int row) {
        const Node& r = rows_[row];
        values_[row] = r.layer.empty() ? text(name(r.op), "_", row) : r.layer;
        auto& node = *graph_.add_node();
        node.set_op_type(type);
        node.set_name(values_[row]);
        node.add_input(values_[r.inputs[0].row]);
        node.add_output(values_[row]);
        return node;
    }

    // The row's parameter, found by name: the traced rows belong to a network without values.
    const Param& param(const Node& row, int i) const {
        const Param* found = params_.find(row.params.at(size_t(i)).param->name);
        FP_CHECK(found, "onnx: the network has no ", row.params[size_t(i)].param->name);
        return *found;
    }

    const std::string& add_initializer(const Param& p) {
        return add_initializer(p.name, p.file_shape(), params_.get_f32(p));
    }
    const std::string& add_initializer(const std::string& name,
                                       const std::vector<int64_t>& shape,
                                       const std::vector<float>& values) {
        auto& tensor = *graph_.add_initializer();
        tensor.set_name(name);
        tensor.set_data_type(onnx::TensorProto::FLOAT);
        for (const int64_t d : shape) tensor.add_dims(d);
        tensor.set_raw_data(values.data(), values.size() * sizeof(float));
        return tensor.name();
    }

    const ParamStore& params_;
    const std::vector<Node>& rows_;
    const bool fold_norms_;
    onnx::GraphProto& graph_;
    std::vector<std::string> values_;  // the name of each row's output
    bool flattened_ = false;
};

}  // namespace

std::string onnx_bytes(const Network& network, const ModelCard& card, const OnnxOptions& options) {
    const Trace walk = trace(network, options.image_size);
    onnx::ModelProto model;
    model.set_ir_version(kIr);
    model.add_opset_import()->set_version(kOpset);
    model.set_producer_name("fairprune");
    model.set_producer_version(std::string(version().number));
    auto& described = *model.add_metadata_props();
    described.set_key(kCardKey);
    described.set_value(card_text(network.spec, card));
    model.mutable_graph()->set_name(network.spec.arch);
    GraphWriter(network, walk.nodes, options.fold_norms, *model.mutable_graph()).write();
    FP_REQUIRE(model.ByteSizeLong() <= size_t(std::numeric_limits<int32_t>::max()), Exit::data,
               "the ONNX file would have ", model.ByteSizeLong(), " bytes; the format ends at 2 GiB");
    return model.SerializeAsString();
}

}  // namespace fp
