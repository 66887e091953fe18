#include "engine/eval/image_array.h"

#include <algorithm>

#include "engine/core/elements.h"
#include "engine/core/loss.h"
#include "engine/data/device_input.h"

namespace fp {
namespace {

// (planes - mean) / std of `n` images as the first row of the tape.
Var input_of(Tape& tape, const Preprocessing& p, const float* planes, int n) {
    const int64_t pixels = int64_t(p.image_size) * p.image_size;
    std::vector<float> x(planes, planes + n * 3 * pixels);
    for (int64_t i = 0; i < int64_t(x.size()); ++i) {
        const size_t c = size_t(i / pixels % 3);
        x[size_t(i)] = (x[size_t(i)] - p.mean[c]) / p.std[c];
    }
    const Map map{.n = n, .c = 3, .h = p.image_size, .w = p.image_size, .block = tape.kernels().image_block(3)};
    const Tensor input = tape.empty(map);
    write_maps(tape.kernels(), input.data, map, x.data());
    return tape.input(input);
}

// A batch of bytes, as a loader delivers it.
Batch batch_of(const uint8_t* rgb, int n) {
    return {.n = n,
            .samples = std::vector<int64_t>(size_t(n), 0),
            .labels = std::vector<int32_t>(size_t(n), 0),
            .rgb = rgb};
}

// (n, c) without padding.
std::vector<float> values_of(const Tape& tape, Var row) {
    const Tensor value = tape.value(row);
    const std::vector<double> stored = read_activations(tape.kernels(), value.data, 0, value.map.stored());
    std::vector<float> out;
    for (int i = 0; i < value.map.n; ++i)
        for (int c = 0; c < value.map.c; ++c) out.push_back(float(stored[size_t(value.map.at(i, c, 0, 0))]));
    return out;
}

}  // namespace

std::vector<float> run(const ArrayPass& pass) {
    const Network& net = pass.session.network();
    const int64_t size = pass.preprocessing.image_size, one = 3 * size * size;
    DeviceInput input(net.kernels(), pass.preprocessing);
    std::vector<float> out;
    for (int64_t begin = 0; begin < pass.images.n; begin += pass.batch_size) {
        const int n = int(std::min<int64_t>(pass.batch_size, pass.images.n - begin));
        Tape tape = pass.session.begin({.mode = Mode::infer});
        const Var images = pass.images.rgb ? input(tape, batch_of(pass.images.rgb + begin * one, n))
                                           : input_of(tape, pass.preprocessing, pass.images.planes + begin * one, n);
        const Var logits = net.forward(tape, images);
        const std::vector<float> some = pass.output == Output::logits ? values_of(tape, logits) : softmax(tape, logits);
        out.insert(out.end(), some.begin(), some.end());
        if (pass.progress) pass.progress(begin + n, pass.images.n);
    }
    return out;
}

}  // namespace fp
