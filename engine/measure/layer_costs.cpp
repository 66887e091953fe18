#include "engine/measure/layer_costs.h"

namespace fp {

std::vector<LayerCost> layer_costs(const std::vector<Node>& rows, Type activation) {
    std::vector<LayerCost> out;
    for (const Node& node : rows) {
        if (is<InputOp>(node.op)) continue;
        const Map& y = node.value.map;
        LayerCost c{.layer = node.layer.empty() ? std::string(name(node.op)) : node.layer,
                    .op = std::string(name(node.op)),
                    .in_channels = node.inputs.empty() ? 0 : rows[node.inputs[0].row].value.map.c,
                    .out_channels = y.c,
                    .height = y.h,
                    .width = y.w,
                    .macs = macs(node.op),
                    .bytes = node.bytes,
                    .activation_bytes = bytes_of(activation) * double(y.logical()),
                    .forward_seconds = node.forward_seconds,
                    .backward_seconds = node.backward_seconds};
        const bool input_grad = !node.inputs.empty() && !is<InputOp>(rows[node.inputs[0].row].op);
        c.backward_macs = c.macs * (input_grad ? 2 : 1);
        for (const ParamUse& use : node.params)
            if (use.param->trained()) c.parameters += use.param->count();
        out.push_back(std::move(c));
    }
    return out;
}

std::vector<LayerCost> layer_costs(const Architecture& architecture,
                                   const ModelSpec& spec,
                                   int image_size,
                                   Type activation) {
    return layer_costs(trace(architecture, spec, image_size, 1, activation).nodes, activation);
}

std::vector<LayerCost> layer_costs(const Network& net, int image_size) {
    return layer_costs(net.architecture, net.spec, image_size, net.kernels().activation);
}

Totals totals(const std::vector<LayerCost>& layers) {
    Totals t;
    for (const LayerCost& c : layers) {
        t.macs += c.macs;
        t.bytes += c.bytes;
        t.activation_bytes += c.activation_bytes;
        t.parameters += c.parameters;
        t.seconds += c.forward_seconds + c.backward_seconds;
    }
    return t;
}

}  // namespace fp
