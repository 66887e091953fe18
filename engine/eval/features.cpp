#include "engine/eval/features.h"

#include <algorithm>

#include "engine/core/elements.h"
#include "engine/core/trace.h"
#include "engine/eval/channel_shards.h"
#include "engine/parallel/gather.h"
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

// The map of one sample of each layer.
std::vector<Map> maps_of(const Pass& pass, const std::vector<std::string>& layers, Tap tap) {
    const Trace rows = trace(pass.network(), pass.preprocessing.image_size);
    std::vector<Map> out;
    for (const std::string& layer : layers) {
        Map map = rows.nodes[size_t(tap_row(rows.nodes, layer, tap).row)].value.map;
        map.block = pass.kernels().block(map.c);
        out.push_back(map);
    }
    return out;
}

// The most samples that a rank runs the network on.
int64_t most_samples(const Pass& pass) {
    const Batches batches = batches_of(pass, LastBatch::padded);
    return std::min<int64_t>(ceil_div(batches.all, pass.ranks().ranks()) * batches.size, int64_t(pass.samples.size()));
}

// The features of this rank's samples, all channels, for as many of the layers from `first` on as `budget_bytes` hold,
// at least one.
std::vector<Features> collect(const Pass& pass,
                              const std::vector<std::string>& layers,
                              const std::vector<Map>& maps,
                              size_t first,
                              Tap tap,
                              size_t budget_bytes) {
    const Kernels& k = pass.kernels();
    const size_t e = bytes_of(k.activation);
    std::vector<Features> out;
    size_t bytes = 0;
    for (size_t i = first; i < layers.size(); ++i) {
        const size_t wanted = size_t(maps[i].stored()) * size_t(most_samples(pass)) * e;
        if (i > first && bytes + wanted > budget_bytes) break;
        bytes += wanted;
        out.push_back({.layer = layers[i], .map = maps[i], .data = Buffer(k.memory, wanted)});
    }
    std::vector<int64_t> read;
    for_each_batch(pass, LastBatch::padded, [&](const Batch& batch, DeviceInput& input) {
        Tape tape = pass.session.begin({.mode = Mode::eval, .rows = Rows::each_op});
        pass.network().forward(tape, input(tape, batch));
        const auto bad = [&](int row) { return batch.labels[row] < 0; };  // skipped, or padding
        for (int begin = 0, end; begin < batch.n; begin = end) {
            for (end = begin + 1; end < batch.n && bad(end) == bad(begin);) ++end;
            if (bad(begin)) continue;
            for (Features& f : out) {
                const size_t one = size_t(f.map.stored()) * e;
                const void* rows = tape.value(tap_row(tape.nodes(), f.layer, tap)).data;
                k.memory.copy(f.data.as<char>() + read.size() * one,
                              static_cast<const char*>(rows) + size_t(begin) * one, size_t(end - begin) * one, {});
            }
            read.insert(read.end(), batch.samples.begin() + begin, batch.samples.begin() + end);
        }
    });
    for (Features& f : out) {
        f.map.n = int(read.size());
        f.samples = read;
    }
    return out;
}

// From this rank's samples to its channels. `samples`, of all ranks, `counts` of them on each.
Features to_channels(const Pass& pass,
                     const Features& f,
                     const std::vector<int64_t>& samples,
                     const std::vector<int64_t>& counts) {
    const Comm& ranks = pass.ranks();
    Map whole = f.map;
    whole.n = int(samples.size());
    return {.layer = f.layer,
            .map = shard_of(pass.kernels(), whole, ranks.rank(), ranks.ranks()),
            .data = to_channel_shards(ranks, pass.kernels(), f.map, f.data, counts),
            .samples = samples,
            .of_channels = whole.c};
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
    const std::vector<Map> maps = maps_of(pass, layers, tap);
    for (size_t first = 0; first < layers.size();) {
        std::vector<Features> some = collect(pass, layers, maps, first, tap, budget_bytes);
        const std::vector<int64_t> samples = gather_all(pass.ranks(), some[0].samples),
                                   counts = gather_all(pass.ranks(), std::vector{int64_t(some[0].samples.size())});
        FP_REQUIRE(!samples.empty(), Exit::data, "scores: no calibration image can be read");
        for (Features& f : some) {
            if (!pass.ranks().alone()) f = to_channels(pass, f, samples, counts);
            visit(f);
        }
        first += some.size();
    }
}

void centre(const Kernels& k, Features& f, const std::vector<int32_t>& labels) {
    const int64_t one = f.map.stored() / f.map.n;
    std::vector<double> mean(size_t(one), 0.0);
    const auto known = std::ranges::count_if(labels, [](int32_t l) { return l >= 0; });
    if (known == 0 || one == 0) return;
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
