// One convolution: forward, forward_moments, infer, backward_data or backward_filter, beside its value in double.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "bench/gpu/numbers.h"
#include "bench/gpu/work.h"
#include "engine/elements.h"
#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/random.h"

namespace fp {
namespace {

// What is forced while this lives.
class Forced {
public:
    explicit Forced(const ConvForced& choice) { conv_forced() = choice; }
    ~Forced() { conv_forced() = {}; }
    Forced(const Forced&) = delete;
    Forced& operator=(const Forced&) = delete;
};

int number(std::string_view digits, std::string_view word) {
    int n = 0;
    const char *begin = digits.data(), *end = begin + digits.size();
    const auto [at, error] = std::from_chars(begin, end, n);
    FP_REQUIRE(error == std::errc() && at == end && n > 0, Exit::usage, "conv: ", word);
    return n;
}

// A word of the line that chooses in the rules' place.
void force(ConvForced& choice, std::string_view word) {
    const size_t equals = word.find('=');
    FP_REQUIRE(equals != word.npos, Exit::usage, "conv: ", word);
    const std::string_view name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "blocks") {
        choice.blocks = number(value, word);
    } else if (name == "parts") {
        choice.parts = number(value, word);
    } else if (name == "tile") {
        const size_t cross = std::min(value.find('x'), value.size() - 1);
        choice.tile = {number(value.substr(0, cross), word), number(value.substr(cross + 1), word)};
    } else {
        FP_REQUIRE(name == "kernel", Exit::usage, "conv: ", word);
        for (int i = 0; i < kConvKernels; ++i) {
            const ConvKernel kernel{i};
            using enum ConvKernel;
            if (value != name_of(kernel)) continue;
            const bool of_filters =
                kernel == filter || kernel == taps || kernel == rows || kernel == halo_filter;
            if (of_filters || kernel == tensor) choice.filter = kernel;
            if (kernel == strided || kernel == tensor) choice.strided = kernel;
            if (!of_filters && kernel != strided) choice.pixels = kernel;
        }
        FP_REQUIRE(choice.pixels || choice.strided || choice.filter, Exit::usage, "conv: ", word);
    }
}

struct Convolution {
    const Kernels& k;
    std::string direction;
    ConvShape s;
    ConvForced forced;
    Drawn x, w, dy;
    std::vector<Buffer> inputs, gradients;  // kSets of each
    Buffer weight, bias, out, prepared, scratch, moments;

    Convolution(const Kernels& table,
                std::string what,
                const ConvShape& shape,
                const ConvForced& choice,
                bool rectified)
        : Convolution(table,
                      std::move(what),
                      shape,
                      choice,
                      {.seed = 1, .rectified = rectified},
                      {.seed = 2},
                      {.seed = 3, .rectified = rectified}) {}
    Convolution(const Kernels& table,
                std::string what,
                const ConvShape& shape,
                const ConvForced& choice,
                const Numbers& of_x,
                const Numbers& of_w,
                const Numbers& of_dy)
        : k(table),
          direction(std::move(what)),
          s(shape),
          forced(choice),
          x(of_x, k.activation),
          w(of_w, k.activation),
          dy(of_dy, k.activation),
          weight(upload(k, k.parameter, s.w, of_w)) {
        for (int i = 0; i < kSets; ++i) {
            inputs.push_back(upload(k, k.activation, s.x, of_x));
            gradients.push_back(upload(k, k.activation, s.y(), of_dy));
        }
        const Forced now(forced);
        const Map channels{.c = s.w.k, .block = s.y_block};
        bias = Buffer(k.memory, size_t(channels.stored()) * size_t(bytes_of(k.parameter)));
        k.memory.zero(bias.data(), bias.bytes(), {});
        out = Buffer(k.memory, out_bytes());
        fill(k, std::vector<char>(size_t(1) << 16, char(0xFF)), out);  // NaN
        scratch = Buffer(k.memory, std::max<size_t>(k.conv.scratch_bytes(s), 1));
        if (direction == "forward_moments")
            moments = Buffer(k.memory, Moments::bytes(s.y(), k.conv.moments_rows(s)));
        if (direction == "infer" || direction == "infer_residual") {
            prepared = Buffer(k.memory, k.conv.prepared_bytes(s, false, true));
            k.conv.prepare(s, false, true, weight.data(), prepared.data(), {});
        }
        k.memory.synchronize({});
    }

    void call(int set) {
        const Forced now(forced);
        const void *in = inputs[size_t(set)].data(), *gradient = gradients[size_t(set)].data();
        if (direction == "forward")
            k.conv.forward(s, in, weight.data(), nullptr, out.data(), scratch.data(), {});
        else if (direction == "forward_moments")  // as training runs it
            k.conv.forward_moments(s, in, weight.data(), nullptr, out.data(),
                                   {moments.data(), k.conv.moments_rows(s)}, scratch.data(), {});
        else if (direction == "backward_data_add")  // to what is there
            k.conv.backward_data(s, gradient, weight.data(), out.data(), Write::add, scratch.data(),
                                 {});
        else if (direction == "infer_residual")
            k.conv.infer(s, in, prepared.data(), bias.data(), gradient, true, out.data(),
                         scratch.data(), {});
        else if (direction == "infer")
            k.conv.infer(s, in, prepared.data(), bias.data(), nullptr, true, out.data(),
                         scratch.data(), {});
        else if (direction == "backward_data")
            k.conv.backward_data(s, gradient, weight.data(), out.data(), Write::replace,
                                 scratch.data(), {});
        else
            k.conv.backward_filter(s, in, gradient, out.data(), nullptr, Write::replace,
                                   scratch.data(), {});
    }

    bool filter_gradient() const { return direction == "backward_filter"; }
    bool input_gradient() const { return direction.starts_with("backward_data"); }
    Map out_map() const { return input_gradient() ? s.x : s.y(); }
    Type out_type() const { return filter_gradient() ? k.parameter : k.activation; }
    size_t out_bytes() const {
        return size_t(filter_gradient() ? s.w.stored() : out_map().stored()) *
               size_t(bytes_of(out_type()));
    }

    // One output in double: sums over what reaches it.
    double exact(int a, int b, int c, int d) const {  // n k p q;  n c h w;  k c r s
        double sum = 0;
        if (filter_gradient()) {
            for (int n = 0; n < s.x.n; ++n)
                for (int p = 0; p < s.p(); ++p)
                    for (int q = 0; q < s.q(); ++q) {
                        const int h = p * s.stride + c - s.pad, v = q * s.stride + d - s.pad;
                        if (h < 0 || v < 0 || h >= s.x.h || v >= s.x.w) continue;
                        sum += dy.at(s.y(), n, a, p, q) * x.at(s.x, n, b, h, v);
                    }
            return sum;
        }
        for (int r = 0; r < s.w.r; ++r)
            for (int t = 0; t < s.w.s; ++t) {
                if (input_gradient()) {
                    const int p = c + s.pad - r, q = d + s.pad - t;
                    if (p < 0 || q < 0 || p % s.stride || q % s.stride) continue;
                    if (p / s.stride >= s.p() || q / s.stride >= s.q()) continue;
                    for (int f = 0; f < s.w.k; ++f)
                        sum +=
                            dy.at(s.y(), a, f, p / s.stride, q / s.stride) * w.at(s.w, f, b, r, t);
                } else {
                    const int h = c * s.stride + r - s.pad, v = d * s.stride + t - s.pad;
                    if (h < 0 || v < 0 || h >= s.x.h || v >= s.x.w) continue;
                    for (int f = 0; f < s.x.c; ++f)
                        sum += x.at(s.x, a, f, h, v) * w.at(s.w, b, f, r, t);
                }
            }
        if (direction == "infer_residual") sum += dy.at(s.y(), a, b, c, d);
        return direction.starts_with("infer") ? std::max(sum, 0.0) : sum;
    }

    double stored(int64_t at) const {
        const size_t bytes = size_t(bytes_of(out_type()));
        alignas(8) char one[8] = {};
        k.memory.copy_out(one, static_cast<const char*>(out.data()) + size_t(at) * bytes, bytes,
                          {});
        return element(one, out_type(), 0);
    }

    // Root mean square over some outputs, relative.
    double error() {
        call(0);
        double wrong = 0, right = 0;
        const uint64_t outputs = filter_gradient() ? 16 : 64;  // each a sum over all pixels there
        for (uint64_t i = 0; i < outputs; ++i) {
            const auto draw = [&](int below, uint64_t axis) {
                return int(uniform_below(uint64_t(below), key_of(9, axis), i));
            };
            const Map m = out_map();
            const int a = draw(filter_gradient() ? s.w.k : m.n, 0),
                      b = draw(filter_gradient() ? s.w.c : m.c, 1),
                      c = draw(filter_gradient() ? s.w.r : m.h, 2),
                      d = draw(filter_gradient() ? s.w.s : m.w, 3);
            const int64_t at = filter_gradient() ? s.w.at(a, b, c, d) : m.at(a, b, c, d);
            const double want = exact(a, b, c, d), got = stored(at);
            wrong += (got - want) * (got - want);
            right += want * want;
        }
        return std::sqrt(wrong / right);
    }
};

}  // namespace

Work convolution_work(const Kernels& k, std::istringstream& words) {
    std::string direction;
    int n, h, c, f, r, stride;
    words >> direction >> n >> h >> c >> f >> r >> stride;
    ConvForced choice;
    bool rectified = false;
    for (std::string word; words >> word;) {
        if (word == "rectified")
            rectified = true;
        else
            force(choice, word);
    }
    const int block = c <= 4 ? k.image_block(c) : k.block(c);
    const ConvShape s{.x = {.n = n, .c = c, .h = h, .w = h, .block = block},
                      .w = k.filter(f, c, r, r, block),
                      .stride = stride,
                      .pad = r / 2,
                      .y_block = k.block(f)};
    auto it = std::make_shared<Convolution>(k, direction, s, choice, rectified);
    return {.call = [it](int set) { it->call(set); },
            .error = [it] { return it->error(); },
            .bits =
                [it] {
                    it->call(0);
                    if (const char* to = std::getenv("FP_DUMP")) {
                        std::vector<char> raw(it->out_bytes());
                        it->k.memory.copy_out(raw.data(), it->out.data(), raw.size(), {});
                        std::FILE* file = std::fopen(to, "wb");
                        std::fwrite(raw.data(), 1, raw.size(), file);
                        std::fclose(file);
                        return uint64_t(0);
                    }
                    return hash_of(it->k, it->out.data(), it->out_bytes());
                },
            .flops = s.flops()};
}

}  // namespace fp
