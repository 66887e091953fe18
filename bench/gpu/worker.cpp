// One engine of a comparison on a GPU: times what it is told to on standard input, so that bench/gpu/run can let
// several engines take turns. Started as: gpu_worker DEVICE [PRECISION]. One line a command, one an answer:
//   copy BYTES                       -> ready           from one place of the device's memory to another
//   product N                        -> ready           N x N x N, as a linear layer
//   conv DIRECTION N H C K R STRIDE  -> ready FLOPS FLOOR EXPECTED   seconds; DIRECTION: forward, infer,
//                                                       backward_data, backward_filter; padding R/2
//   network train|infer SIZE BATCH ARCH WIDTH STEM [LAYER=CHANNELS ...]   -> ready
//   snnl N C SIDE                    -> ready           scores of one label set, exact, cosine
//   error                            -> of the convolution: root mean square, relative, on 64 outputs in double
//   bits                             -> a hash of the outputs, of a convolution or of the weights after a step
//   time SECONDS                     -> seconds a call, of each stretch of about 20 ms
// With `model` for a device it needs none, and answers lines as model.h has them with what an op should take.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "bench/gpu/model.h"
#include "engine/checkpoint.h"
#include "engine/elements.h"
#include "engine/stopwatch.h"
#include "kernels/error.h"
#include "kernels/random.h"
#include "models/models.h"

namespace fp {
namespace {

constexpr double kStretch = 0.02;  // seconds between two marks
constexpr int kSets = 3;           // of inputs, in turns, so that none waits in the cache

struct Work {
    std::function<void(int set)> call;
    std::function<double()> error = {};
    std::function<uint64_t()> bits = {};
    double flops = 0, floor = 0, expected = 0;
};

uint64_t hash_of(const Kernels& k, const void* device, size_t bytes) {
    std::vector<uint8_t> host(bytes);
    k.memory.copy_out(host.data(), device, bytes, {});
    uint64_t hash = 0;
    for (const uint8_t byte : host) hash = mix(hash + byte);
    return hash;
}

// Numbers about normal, zeros where the layout pads.
template <class Layout>
std::vector<float> normal(const Layout& l, uint64_t seed) {
    // A prime number of them, again and again, so that no row or channel meets the same ones.
    constexpr size_t kNumbers = 65521;
    std::vector<float> numbers;
    for (size_t i = 0; i < kNumbers; ++i) {
        const Philox p = philox(key_of(seed), i);
        float sum = 0;
        for (const uint32_t word : p.word) sum += float(uniform(word)) - 0.5f;
        numbers.push_back(sum * std::sqrt(3.0f));
    }
    std::vector<float> out(size_t(l.stored()), 0.0f);
    size_t at = 0;
    const auto next = [&] {
        const float v = numbers[at];
        at = at + 1 < kNumbers ? at + 1 : 0;
        return v;
    };
    if constexpr (std::is_same_v<Layout, Map>) {
        for (int n = 0; n < l.n; ++n)
            for (int h = 0; h < l.h; ++h)
                for (int w = 0; w < l.w; ++w)
                    for (int c = 0; c < l.c; ++c) out[size_t(l.at(n, c, h, w))] = next();
    } else {
        for (int n = 0; n < l.k; ++n)
            for (int r = 0; r < l.r; ++r)
                for (int s = 0; s < l.s; ++s)
                    for (int c = 0; c < l.c; ++c) out[size_t(l.at(n, c, r, s))] = next();
    }
    return out;
}

Buffer upload(const Kernels& k, Type type, const std::vector<float>& values) {
    Buffer out(k.memory, values.size() * size_t(bytes_of(type)));
    std::vector<bf16> narrow;
    if (type == Type::bf16)
        for (const float v : values) narrow.push_back(to_bf16(v));
    const void* from = type == Type::bf16 ? static_cast<const void*>(narrow.data()) : values.data();
    k.memory.copy_in(out.data(), from, out.bytes(), {});
    k.memory.synchronize({});
    return out;
}

Work copies(const Kernels& k, std::istringstream& words) {
    size_t bytes = 0;
    words >> bytes;
    auto blocks = std::make_shared<std::vector<Buffer>>();
    for (int i = 0; i < 2; ++i) blocks->emplace_back(k.memory, bytes);
    return {.call = [&k, blocks](int) {
        k.memory.copy((*blocks)[1].data(), (*blocks)[0].data(), (*blocks)[0].bytes(), {});
    }};
}

Work product(const Kernels& k, std::istringstream& words) {
    int n = 0;
    words >> n;
    const LinearShape s{.x = {.n = n, .c = n, .block = k.block(n)},
                        .w = k.filter(n, n, 1, 1, k.block(n)),
                        .y_block = k.block(n)};
    struct Data {
        Buffer x, w, y, scratch;
    };
    auto d = std::make_shared<Data>(
        Data{.x = upload(k, k.activation, normal(s.x, 1)),
             .w = upload(k, k.parameter, normal(s.w, 2)),
             .y = Buffer(k.memory, size_t(s.y().stored()) * size_t(bytes_of(k.activation))),
             .scratch = Buffer(k.memory, k.linear.scratch_bytes(s))});
    return {.call =
                [&k, d, s](int) {
                    k.linear.forward(s, d->x.data(), d->w.data(), nullptr, d->y.data(),
                                     d->scratch.data(), {});
                },
            .flops = s.flops()};
}

struct ConvCase {
    const Kernels& k;
    std::string direction;
    ConvShape s;
    std::vector<float> x, w, dy;
    std::vector<Buffer> dx_or_x, dy_or_y;
    Buffer weight, bias, out, prepared, scratch;

    ConvCase(const Kernels& table, std::string what, const ConvShape& shape)
        : k(table),
          direction(std::move(what)),
          s(shape),
          x(normal(s.x, 1)),
          w(normal(s.w, 2)),
          dy(normal(s.y(), 3)) {
        for (int i = 0; i < kSets; ++i) {
            dx_or_x.push_back(upload(k, k.activation, x));
            dy_or_y.push_back(upload(k, k.activation, dy));
        }
        weight = upload(k, k.parameter, w);
        const Map channels{.c = s.w.k, .block = s.y_block};
        bias = upload(k, k.parameter, std::vector<float>(size_t(channels.stored()), 0.0f));
        const size_t map = size_t(std::max(s.x.stored(), s.y().stored()));
        out = Buffer(k.memory, std::max(map, size_t(s.w.stored())) * sizeof(float));
        const std::vector<uint8_t> ones(out.bytes(), 0xFF);  // NaN
        k.memory.copy_in(out.data(), ones.data(), out.bytes(), {});
        scratch = Buffer(k.memory, std::max<size_t>(k.conv.scratch_bytes(s), 1));
        if (direction == "infer") {
            prepared = Buffer(k.memory, k.conv.prepared_bytes(s, false, true));
            k.conv.prepare(s, false, true, weight.data(), prepared.data(), {});
        }
        k.memory.synchronize({});
    }

    void call(int set) {
        const void *in = dx_or_x[size_t(set)].data(), *gradient = dy_or_y[size_t(set)].data();
        if (direction == "forward")
            k.conv.forward(s, in, weight.data(), nullptr, out.data(), scratch.data(), {});
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
    Map out_map() const { return direction == "backward_data" ? s.x : s.y(); }
    Type out_type() const { return filter_gradient() ? k.parameter : k.activation; }
    size_t out_bytes() const {
        return size_t(filter_gradient() ? s.w.stored() : out_map().stored()) *
               size_t(bytes_of(out_type()));
    }

    // As the device has them.
    double stored(const std::vector<float>& v, int64_t at) const {
        return k.activation == Type::bf16 ? double(to_float(to_bf16(v[size_t(at)])))
                                          : double(v[size_t(at)]);
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
                        sum += stored(dy, s.y().at(n, a, p, q)) * stored(x, s.x.at(n, b, h, v));
                    }
            return sum;
        }
        for (int r = 0; r < s.w.r; ++r)
            for (int t = 0; t < s.w.s; ++t) {
                if (direction == "backward_data") {
                    const int p = c + s.pad - r, q = d + s.pad - t;
                    if (p < 0 || q < 0 || p % s.stride || q % s.stride) continue;
                    if (p / s.stride >= s.p() || q / s.stride >= s.q()) continue;
                    for (int f = 0; f < s.w.k; ++f)
                        sum += stored(dy, s.y().at(a, f, p / s.stride, q / s.stride)) *
                               stored(w, s.w.at(f, b, r, t));
                } else {
                    const int h = c * s.stride + r - s.pad, v = d * s.stride + t - s.pad;
                    if (h < 0 || v < 0 || h >= s.x.h || v >= s.x.w) continue;
                    for (int f = 0; f < s.x.c; ++f)
                        sum += stored(x, s.x.at(a, f, h, v)) * stored(w, s.w.at(b, f, r, t));
                }
            }
        return direction == "infer" ? std::max(sum, 0.0) : sum;
    }

    double error() {
        call(0);
        std::vector<char> host(out_bytes());
        k.memory.copy_out(host.data(), out.data(), host.size(), {});
        double wrong = 0, right = 0;
        for (uint64_t i = 0; i < 64; ++i) {
            const auto draw = [&](int below, uint64_t axis) {
                return int(uniform_below(uint64_t(below), key_of(9, axis), i));
            };
            const Map m = out_map();
            const int a = draw(filter_gradient() ? s.w.k : m.n, 0),
                      b = draw(filter_gradient() ? s.w.c : m.c, 1),
                      c = draw(filter_gradient() ? s.w.r : m.h, 2),
                      d = draw(filter_gradient() ? s.w.s : m.w, 3);
            const int64_t at = filter_gradient() ? s.w.at(a, b, c, d) : m.at(a, b, c, d);
            const double want = exact(a, b, c, d), got = element(host.data(), out_type(), at);
            wrong += (got - want) * (got - want);
            right += want * want;
        }
        return std::sqrt(wrong / right);
    }
};

Work conv(const Kernels& k, std::istringstream& words) {
    std::string direction;
    int n, h, c, f, r, stride;
    words >> direction >> n >> h >> c >> f >> r >> stride;
    const int block = c <= 4 ? k.image_block(c) : k.block(c);
    const ConvShape s{.x = {.n = n, .c = c, .h = h, .w = h, .block = block},
                      .w = k.filter(f, c, r, r, block),
                      .stride = stride,
                      .pad = r / 2,
                      .y_block = k.block(f)};
    auto it = std::make_shared<ConvCase>(k, direction, s);
    return {.call = [it](int set) { it->call(set); },
            .error = [it] { return it->error(); },
            .bits =
                [it] {
                    it->call(0);
                    return hash_of(it->k, it->out.data(), it->out_bytes());
                },
            .flops = s.flops()};
}

Work network(const Kernels& k, std::istringstream& words) {
    std::string mode, layer;
    TimingOptions o;
    ModelSpec spec{.classes = 8};
    words >> mode >> o.image_size >> o.batch_size >> spec.arch >> spec.width >> spec.stem;
    o.train = mode == "train";
    while (words >> layer) {
        const size_t equals = layer.find('=');
        FP_REQUIRE(equals != layer.npos, Exit::usage, layer, ": LAYER=CHANNELS expected");
        spec.widths[layer.substr(0, equals)] = std::stoi(layer.substr(equals + 1));
    }
    struct Timed {
        std::unique_ptr<Network> net;
        TimedNetwork timed;
        Timed(std::unique_ptr<Network> n, const TimingOptions& options)
            : net(std::move(n)), timed(*net, options) {}
    };
    auto net = models::build(spec, k);
    models::initialize(*net, 1);
    const auto it = std::make_shared<Timed>(std::move(net), o);
    return {.call = [it](int) { it->timed.run(); },
            .bits =
                [it, &k] {
                    it->timed.run();
                    const ParamStore& p = it->net->params;
                    return hash_of(k, p.grads(),
                                   size_t(p.trained_count()) * size_t(bytes_of(k.parameter)));
                }};
}

Work snnl(const Kernels& k, std::istringstream& words) {
    int n, c, side;
    words >> n >> c >> side;
    struct Data {
        SnnlShape shape;
        Buffer x, scratch, labels, scores;
    };
    const SnnlShape shape{.x = {.n = n, .c = c, .h = side, .w = side, .block = k.block(c)}};
    std::vector<int32_t> labels;
    for (int s = 0; s < n; ++s) labels.push_back(int32_t(uniform_below(2, key_of(2), uint64_t(s))));
    auto d = std::make_shared<Data>(
        Data{.shape = shape,
             .x = upload(k, k.activation, normal(shape.x, 1)),
             .scratch = Buffer(k.memory, std::max<size_t>(k.snnl.scratch_bytes(shape), 1)),
             .labels = Buffer(k.memory, labels.size() * sizeof(int32_t)),
             .scores = Buffer(k.memory, size_t(c) * sizeof(double))});
    k.memory.copy_in(d->labels.data(), labels.data(), d->labels.bytes(), {});
    k.memory.synchronize({});
    const auto call = [d, &k](int) {
        k.snnl.forward(d->shape, d->x.data(), static_cast<const int32_t*>(d->labels.data()),
                       nullptr, static_cast<double*>(d->scores.data()), d->scratch.data(), {});
    };
    return {.call = call,
            .bits =
                [d, &k, call] {
                    call(0);
                    return hash_of(k, d->scores.data(), d->scores.bytes());
                },
            .flops = shape.flops()};
}

// Stretches of as many calls as fill about 20 ms, one at least, between two marks of the device's clock.
std::string time(const Kernels& k, const Work& work, double wanted) {
    Mark begin(k.order), end(k.order);
    const auto stretch = [&](int calls) {
        begin.record({});
        for (int i = 0; i < calls; ++i) work.call(i % kSets);
        end.record({});
        end.wait();
        return end.seconds_since(begin);
    };
    const double once = std::max(stretch(1), 1e-7);
    const int calls = int(std::clamp(kStretch / once, 1.0, 10000.0));
    std::string out;
    double left = wanted;
    do {
        const double taken = stretch(calls);
        out += fmt::format("{:.4e} ", taken / calls);
        left -= taken;
    } while (left > 0);
    return out;
}

int serve(const Kernels& k, Precision precision) {
    Work work;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "time") {
            double seconds = 0;
            words >> seconds;
            std::cout << time(k, work, seconds);
        } else if (command == "error" || command == "bits") {
            FP_REQUIRE(command == "error" ? bool(work.error) : bool(work.bits), Exit::usage,
                       command, ": not of this");
            std::cout << (command == "error" ? fmt::format("{:.6e}", work.error())
                                             : fmt::format("{:016x}", work.bits()));
        } else {
            work = {};  // its memory first
            work = command == "copy"      ? copies(k, words)
                   : command == "product" ? product(k, words)
                   : command == "conv"    ? conv(k, words)
                   : command == "network" ? network(k, words)
                   : command == "snnl"    ? snnl(k, words)
                                          : Work{};
            FP_REQUIRE(bool(work.call), Exit::usage, "unknown command ", command);
            if (command == "conv" || command == "snnl") {
                std::istringstream again(line);
                const Expectation e = expect(again, precision);
                work.floor = e.floor;
                work.expected = e.expected;
            }
            for (int i = 0; i < 5; ++i) work.call(i % kSets);  // plans, memory, graphs
            k.memory.synchronize({});
            std::cout << fmt::format("ready {:.6e} {:.6e} {:.6e}", work.flops, work.floor,
                                     work.expected);
        }
        std::cout << std::endl;
    }
    return 0;
}

// What model.h says of each line: FLOPS BYTES FLOOR EXPECTED LIMITER.
int expect_all(Precision precision) {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        const Expectation e = expect(words, precision);
        std::cout << fmt::format("{:.6e} {:.6e} {:.6e} {:.6e} {}", e.flops, e.bytes, e.floor,
                                 e.expected, e.limiter)
                  << std::endl;
    }
    return 0;
}

int run(const std::vector<std::string>& words) {
    FP_REQUIRE(!words.empty(), Exit::usage, "DEVICE [PRECISION], or model [PRECISION]");
    const std::string precision_name = words.size() > 1 ? words[1] : "fp32";
    for (const Precision p : {Precision::f32, Precision::tf32, Precision::bf16})
        if (words[0] == "model" && precision_name == name(p)) return expect_all(p);
    for (const Precision p : {Precision::f32, Precision::tf32, Precision::bf16})
        for (const Backend b :
             {Backend::cpu, Backend::cuda, Backend::cudnn, Backend::emulated, Backend::reference})
            if (words[0] == name(b) && precision_name == name(p)) return serve(kernels(b, p), p);
    fail_with(Exit::usage, words[0], " ", precision_name, ": no such device or precision");
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    try {
        return fp::run({argv + 1, argv + argc});
    } catch (const fp::Error& e) {
        std::cerr << "gpu_worker: " << e.what() << "\n";
        return int(e.exit);
    } catch (const std::exception& e) {
        std::cerr << "gpu_worker: " << e.what() << "\n";
        return 1;
    }
}
