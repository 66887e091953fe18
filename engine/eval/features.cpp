#include "engine/eval/features.h"

#include <algorithm>

#include "engine/core/elements.h"
#include "kernels/error.h"

namespace fp {
namespace {

// The role of a row that reads a layer's channels: the tapped row, a row on the way to it, a row that computes the
// tapped value without storing it, or the end of the search.
enum class Reader { tapped, passes, hides, ends };

Reader reader_of(const Op& op, Tap tap) {
    const bool norm = tap == Tap::norm;
    return std::visit(
        Cases{
            [&](const BatchNormShape& s) {
                if (norm) return s.relu || s.residual ? Reader::hides : Reader::tapped;
                return s.relu ? Reader::tapped : Reader::passes;
            },
            [&](const PairedNormOp&) { return norm ? Reader::hides : Reader::passes; },
            [&](const NormPairOp&) { return norm ? Reader::hides : Reader::tapped; },
            [](const NormPoolOp&) { return Reader::hides; },
            [&](const ReluOp&) { return norm ? Reader::ends : Reader::tapped; },
            [](const AddOp&) { return Reader::passes; },
            [](const one_of<InputOp, ConvShape, LinearShape, MaxPoolShape, AvgPoolShape, DropoutOp, LossShape> auto&) {
                return Reader::ends;
            }},
        op);
}

// The features of as many of the layers from `first` on as `budget_bytes` hold, at least one.
std::vector<Features> collect(
    const Pass& pass, const std::vector<std::string>& layers, size_t first, Tap tap, size_t budget_bytes) {
    const Kernels& k = pass.kernels();
    const size_t e = bytes_of(k.activation);
    std::vector<Features> out;
    const auto allocate = [&](const Tape& tape) {
        size_t bytes = 0;
        for (size_t i = first; i < layers.size(); ++i) {
            Map map = tape.value(tap_row(tape.nodes(), layers[i], tap)).map;
            map.n = int(pass.samples.size());
            const size_t wanted = size_t(map.stored()) * e;
            if (i > first && bytes + wanted > budget_bytes) break;
            bytes += wanted;
            out.push_back({.layer = layers[i], .map = map, .data = Buffer(k.memory, wanted)});
        }
    };
    std::vector<int64_t> read;
    for_each_batch(pass, LastBatch::padded, [&](const Batch& batch, DeviceInput& input) {
        Tape tape = pass.session.begin({.mode = Mode::eval, .rows = Rows::each_op});
        pass.network().forward(tape, input(tape, batch));
        if (out.empty()) allocate(tape);
        const auto bad = [&](int row) { return batch.labels[row] < 0; };  // skipped, or padding
        for (int begin = 0, end; begin < batch.n; begin = end) {
            for (end = begin + 1; end < batch.n && bad(end) == bad(begin);) ++end;
            if (bad(begin)) continue;
            for (Features& f : out) {
                const size_t one = size_t(f.map.stored() / f.map.n) * e;
                const void* rows = tape.value(tap_row(tape.nodes(), f.layer, tap)).data;
                k.memory.copy(static_cast<char*>(f.data.data()) + read.size() * one,
                              static_cast<const char*>(rows) + size_t(begin) * one, size_t(end - begin) * one, {});
            }
            read.insert(read.end(), batch.samples.begin() + begin, batch.samples.begin() + end);
        }
    });
    FP_REQUIRE(!read.empty(), Exit::data, "scores: no calibration image can be read");
    for (Features& f : out) {
        f.map.n = int(read.size());
        f.samples = read;
    }
    return out;
}

}  // namespace

Tap parse_tap(const std::string& text) {
    if (text == "conv") return Tap::convolution;
    if (text == "norm") return Tap::norm;
    if (text == "act") return Tap::activation;
    fail_with(Exit::usage, "tap ", text, " is unknown: conv, norm or act");
}

const char* name(Tap tap) { return tap == Tap::convolution ? "conv" : tap == Tap::norm ? "norm" : "act"; }

Rows rows_for(Tap tap) {
    return tap == Tap::convolution ? Rows::fewest : tap == Tap::norm ? Rows::each_op : Rows::activations;
}

Var tap_row(const std::vector<Node>& rows, const std::string& layer, Tap tap) {
    int at = -1;
    for (int row = 0; row < int(rows.size()); ++row)
        if (rows[row].layer == layer && makes_channels(rows[row].op)) at = row;
    FP_REQUIRE(at >= 0, Exit::usage, "layer ", layer, " is not in this network");
    if (tap == Tap::convolution) return {at};
    for (int row = at + 1; row < int(rows.size()); ++row) {
        const Node& node = rows[row];
        const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](Var v) { return v.row == at; });
        if (!reads) continue;
        const Reader reader = reader_of(node.op, tap);
        if (reader == Reader::tapped) return {row};
        FP_CHECK(reader != Reader::hides, layer, ": the tape has no row for what --tap ", name(tap), " reads");
        if (reader == Reader::ends) break;
        at = row;
    }
    return {at};
}

void for_each_layer(const Pass& pass,
                    const std::vector<std::string>& layers,
                    Tap tap,
                    size_t budget_bytes,
                    const std::function<void(Features&)>& visit) {
    FP_REQUIRE(!pass.samples.empty(), Exit::data, "scores: there are no calibration samples");
    for (size_t first = 0; first < layers.size();) {
        std::vector<Features> some = collect(pass, layers, first, tap, budget_bytes);
        for (Features& f : some) visit(f);
        first += some.size();
    }
}

void centre(const Kernels& k, Features& f, const std::vector<int32_t>& labels) {
    const int64_t one = f.map.stored() / f.map.n;
    std::vector<double> mean(size_t(one), 0.0);
    const auto known = std::ranges::count_if(labels, [](int32_t l) { return l >= 0; });
    if (known == 0) return;
    for (int n = 0; n < f.map.n; ++n) {
        if (labels[size_t(n)] < 0) continue;
        const std::vector<double> x = read_activations(k, f.data.data(), n * one, one);
        for (size_t i = 0; i < x.size(); ++i) mean[i] += x[i];
    }
    for (double& m : mean) m /= double(known);
    for (int n = 0; n < f.map.n; ++n) {
        std::vector<double> x = read_activations(k, f.data.data(), n * one, one);
        for (size_t i = 0; i < x.size(); ++i) x[i] -= mean[i];
        write_activations(k, f.data.data(), n * one, x);
    }
}

}  // namespace fp
