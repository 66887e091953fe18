// What the kernel tests share: buffers on a backend's device, filled and read in logical order whatever
// the layout and type, and one way of comparing.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "kernels/error.h"
#include "kernels/kernels.h"
#include "kernels/machine/emulated/settings.h"
#include "kernels/random.h"

namespace fp::testing {

// Elements in logical order: NCHW for maps, OIHW for filters.
using Values = std::vector<double>;

inline float to_bf16(double value) {  // to nearest, ties to even
    const uint32_t bits = std::bit_cast<uint32_t>(float(value));
    return std::bit_cast<float>((bits + 0x7FFFu + ((bits >> 16) & 1)) & 0xFFFF0000u);
}

inline double rounded(double value, Type type) {
    return type == Type::f64 ? value : type == Type::f32 ? double(float(value)) : to_bf16(value);
}

// About normal (the sum of four uniforms, variance 1), exact in `type`, so that every backend and the
// reference start from the same numbers.
inline Values random_values(int64_t count, uint64_t seed, Type type = Type::f32) {
    Values values(size_t(std::max<int64_t>(count, 0)));
    for (size_t i = 0; i < values.size(); ++i) {
        const Philox p = philox(key_of(seed), i);
        double sum = 0;
        for (const uint32_t word : p.word) sum += double(uniform(word)) - 0.5;
        values[i] = rounded(sum * std::sqrt(3.0), type);
    }
    return values;
}

// Where the logical elements of a layout lie.
struct Places {
    std::vector<int64_t> at;
    int64_t stored = 0;  // padding included

    Places() = default;
    Places(const Map& m) : stored(m.stored()) {
        for (int n = 0; n < m.n; ++n)
            for (int c = 0; c < m.c; ++c)
                for (int h = 0; h < m.h; ++h)
                    for (int w = 0; w < m.w; ++w) at.push_back(m.at(n, c, h, w));
    }
    Places(const Filter& f) : stored(f.stored()) {
        for (int k = 0; k < f.k; ++k)
            for (int c = 0; c < f.c; ++c)
                for (int r = 0; r < f.r; ++r)
                    for (int s = 0; s < f.s; ++s) at.push_back(f.at(k, c, r, s));
    }
};

// Memory of a backend that starts as 0xFF bytes, a NaN in every floating type, with as much behind it:
// what is read there poisons the result, what is written there is seen.
class Buffer {
public:
    Buffer(const Kernels& k, size_t bytes) : memory_(k.memory), bytes_(bytes) {
        block_ = memory_.alloc(bytes_ + kGuard);
        const std::vector<std::byte> ones(bytes_ + kGuard, kFill);
        memory_.copy_in(block_, ones.data(), ones.size(), {});
    }
    ~Buffer() { memory_.release(block_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void* data() const { return block_; }
    void write(const void* host) {
        if (bytes_ > 0) memory_.copy_in(block_, host, bytes_, {});
    }
    std::vector<std::byte> read() const {
        std::vector<std::byte> host(bytes_ + kGuard);
        memory_.copy_out(host.data(), block_, host.size(), {});
        memory_.synchronize({});
        EXPECT_TRUE(
            std::all_of(host.begin() + std::ptrdiff_t(bytes_), host.end(), [](std::byte b) { return b == kFill; }))
            << "written behind the end of a buffer of " << bytes_ << " bytes";
        host.resize(bytes_);
        return host;
    }

private:
    static constexpr size_t kGuard = 256;
    static constexpr std::byte kFill{0xFF};
    const Memory& memory_;
    size_t bytes_;
    void* block_;
};

// Plain numbers on the device: labels, bytes, sums.
template <class T>
class Array {
public:
    Array(const Kernels& k, size_t count) : buffer_(k, count * sizeof(T)) {}
    Array(const Kernels& k, const std::vector<T>& values) : Array(k, values.size()) { buffer_.write(values.data()); }
    operator T*() const { return static_cast<T*>(buffer_.data()); }
    T* if_given(bool given) const { return given ? static_cast<T*>(buffer_.data()) : nullptr; }
    std::vector<T> values() const {
        const auto bytes = buffer_.read();
        std::vector<T> out(bytes.size() / sizeof(T));
        std::memcpy(out.data(), bytes.data(), bytes.size());
        return out;
    }

private:
    Buffer buffer_;
};

// A place on the device, as whichever pointer an op takes.
struct Address {
    void* at;
    template <class T>
    operator T*() const {
        return static_cast<T*>(at);
    }
};

// Activations or parameters on the device, in their layout and type. Reading them back checks that the
// padding is exactly zero.
class Tensor {
public:
    // An output: NaN everywhere.
    Tensor(const Kernels& k, Type type, Places places)
        : type_(type), places_(std::move(places)), buffer_(k, size_t(places_.stored) * size_t(bytes_of(type))) {}
    // An input: these numbers, zeros between them.
    Tensor(const Kernels& k, Type type, Places places, const Values& values) : Tensor(k, type, std::move(places)) {
        EXPECT_EQ(values.size(), places_.at.size());
        std::vector<std::byte> host(size_t(places_.stored) * size_t(bytes_of(type_)));
        for (size_t i = 0; i < values.size(); ++i) encode(values[i], &host[offset(places_.at[i])]);
        buffer_.write(host.data());
    }

    template <class T>
    operator T*() const {
        return static_cast<T*>(buffer_.data());
    }
    Address if_given(bool given) const { return {given ? buffer_.data() : nullptr}; }

    Values values() const {
        const auto host = buffer_.read();
        Values out;
        std::vector<bool> logical(size_t(places_.stored), false);
        for (const int64_t place : places_.at) {
            out.push_back(decode(&host[offset(place)]));
            logical[size_t(place)] = true;
        }
        for (int64_t i = 0; i < places_.stored; ++i)
            if (!logical[size_t(i)]) {
                const double padding = decode(&host[offset(i)]);
                EXPECT_EQ(padding, 0.0) << "padding at stored element " << i;
                if (padding != 0.0) break;  // NaN too
            }
        return out;
    }

private:
    size_t offset(int64_t element) const { return size_t(element) * size_t(bytes_of(type_)); }
    void encode(double value, std::byte* to) const {
        const float single = float(value);
        const uint16_t half = uint16_t(std::bit_cast<uint32_t>(to_bf16(value)) >> 16);
        if (type_ == Type::f64) std::memcpy(to, &value, sizeof value);
        if (type_ == Type::f32) std::memcpy(to, &single, sizeof single);
        if (type_ == Type::bf16) std::memcpy(to, &half, sizeof half);
    }
    double decode(const std::byte* from) const {
        double value = 0;
        float single = 0;
        uint16_t half = 0;
        if (type_ == Type::f64) std::memcpy(&value, from, sizeof value);
        if (type_ == Type::f32) std::memcpy(&single, from, sizeof single), value = single;
        if (type_ == Type::bf16) {
            std::memcpy(&half, from, sizeof half);
            value = std::bit_cast<float>(uint32_t(half) << 16);
        }
        return value;
    }

    Type type_;
    Places places_;
    Buffer buffer_;
};

// Makes the buffers of one test on one backend.
struct Device {
    const Kernels& k;

    Map map(Map m) const { return m.block = k.block(m.c), m; }
    Map image(Map m) const { return m.block = k.image_block(m.c), m; }
    // A per-channel vector beside a map of this many channels.
    Map channels(int c) const { return map({.c = c}); }

    Tensor act_in(const Map& m, const Values& v) const { return {k, k.activation, m, v}; }
    Tensor act_out(const Map& m) const { return {k, k.activation, m}; }
    template <class Layout>
    Tensor par_in(const Layout& l, const Values& v) const {
        return {k, k.parameter, l, v};
    }
    template <class Layout>
    Tensor par_out(const Layout& l) const {
        return {k, k.parameter, l};
    }
    // A gradient's buffer: NaN if it is replaced, `before` if it is added to.
    Tensor act_grad(const Map& m, Write write, const Values& before) const {
        return write == Write::add ? act_in(m, before) : act_out(m);
    }
    template <class Layout>
    Tensor par_grad(const Layout& l, Write write, const Values& before) const {
        return write == Write::add ? par_in(l, before) : par_out(l);
    }
};

// What float32 arithmetic can lose, as a relative norm; bf16 against an input rounded the same way.
inline double tolerance(Type type) { return type == Type::f64 ? 1e-12 : type == Type::f32 ? 1e-5 : 1e-2; }

// |got - want| / |want|, and the element that differs most. What is wanted is finite.
// A gradient of parameters that is added is rounded first: N calls give what the sums of N results of their own give.
inline void expect_sum(const Values& got, const Values& before, const Values& added, Type type, std::string_view what) {
    ASSERT_EQ(got.size(), added.size()) << what;
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], rounded(before[i] + added[i], type)) << what << " " << i;
}

inline void expect_close(const Values& got, const Values& want, double tolerance, std::string_view what) {
    ASSERT_EQ(got.size(), want.size()) << what;
    double error = 0, norm = 0, worst = -1;
    size_t at = 0;
    for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(std::isfinite(want[i])) << what << ", element " << i << " of the reference";
        double difference = std::abs(got[i] - want[i]);
        if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
        if (difference > worst) worst = difference, at = i;
        error += difference * difference;
        norm += want[i] * want[i];
    }
    if (error == 0) return;
    EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm))
        << what << ": relative error " << std::sqrt(error / norm) << ", worst element " << at << " of " << got.size()
        << ": " << got[at] << " for " << want[at];
}

// What names a table: a backend, a precision, and which GPU the emulated machine plays.
struct Table {
    Backend backend = Backend::reference;
    Precision precision = Precision::f32;
    int generation = emulated::Settings().generation;
};

// A test that runs once a table, and says so where there is none.
class OnBackend : public ::testing::TestWithParam<Table> {
protected:
    void SetUp() override {
        emulated::settings().generation = GetParam().generation;
        if (!find_kernels(GetParam().backend, GetParam().precision))
            GTEST_SKIP() << "device " << name(GetParam().backend) << " in " << name(GetParam().precision)
                         << " is not on this machine, or not in this build";
    }
    const Kernels& table() const { return kernels(GetParam().backend, GetParam().precision); }
    // Our TF32 products are exact but for their sums once operands are rounded as the kernels say: to 10 bits of
    // mantissa, ties away from zero. How the vendor rounds is not said: each operand is off by 2^-12 or so.
    bool rounds_operands() const {
        return GetParam().precision == Precision::tf32 && GetParam().backend != Backend::cudnn;
    }
    Values as_multiplied(Values operands) const {
        if (rounds_operands())
            for (double& v : operands)
                v = std::bit_cast<float>((std::bit_cast<uint32_t>(float(v)) + 0x1000u) & 0xFFFFE000u);
        return operands;
    }
    double tolerance() const {
        return GetParam().precision == Precision::tf32 && !rounds_operands() ? 1e-3
                                                                             : testing::tolerance(table().activation);
    }
};

inline const Kernels& exact() { return kernels(Backend::reference_f64); }

inline std::string table_name(const ::testing::TestParamInfo<Table>& info) {
    std::string text(name(info.param.backend));
    if (info.param.precision != Precision::f32) text += "_" + std::string(name(info.param.precision));
    if (info.param.generation != Table().generation) text += "_sm" + std::to_string(info.param.generation);
    return text;
}

}  // namespace fp::testing

// Every table but the one the others are held to.
#define FP_ON_TABLES(suite, ...)                                                                             \
    INSTANTIATE_TEST_SUITE_P(Kernels, suite,                                                                 \
                             ::testing::ValuesIn(std::vector<::fp::testing::Table>{                          \
                                 {::fp::Backend::reference},                                                 \
                                 {::fp::Backend::reference_blocked},                                         \
                                 {::fp::Backend::cpu},                                                       \
                                 {::fp::Backend::onednn},                                                    \
                                 {::fp::Backend::emulated},                                                  \
                                 {::fp::Backend::cuda},                                                      \
                                 {::fp::Backend::cudnn},                                                     \
                                 {::fp::Backend::emulated, ::fp::Precision::bf16},                           \
                                 {::fp::Backend::cuda, ::fp::Precision::bf16},                               \
                                 {::fp::Backend::cudnn, ::fp::Precision::bf16} __VA_OPT__(, ) __VA_ARGS__}), \
                             ::fp::testing::table_name)
#define FP_ON_EVERY_BACKEND(suite) FP_ON_TABLES(suite)
// Those whose products differ in TF32 and between GPUs too.
#define FP_ON_EVERY_PRECISION(suite)                                                                             \
    FP_ON_TABLES(suite, {::fp::Backend::emulated, ::fp::Precision::bf16, 80},                                    \
                 {::fp::Backend::emulated, ::fp::Precision::tf32}, {::fp::Backend::cuda, ::fp::Precision::tf32}, \
                 {::fp::Backend::cudnn, ::fp::Precision::tf32})
