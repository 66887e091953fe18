#include "engine/core/params.h"

#include <algorithm>

#include "engine/core/elements.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr int64_t kParamAlign = 64;  // elements: every parameter starts on a cache line

// Calls visit(file index, stored index) for every logical element.
template <class Visit>
void for_each_element(const Filter& f, Visit visit) {
    int64_t i = 0;
    for (int k = 0; k < f.k; ++k)
        for (int c = 0; c < f.c; ++c)
            for (int r = 0; r < f.r; ++r)
                for (int s = 0; s < f.s; ++s) visit(i++, f.at(k, c, r, s));
}

template <class Logical>
std::vector<Logical> read_as(const Kernels& k, const Param& p, const void* device) {
    const auto host = copy_to_host<char>(k.memory, device, size_t(p.shape.stored()) * bytes_of(k.parameter));
    std::vector<Logical> out(p.count());
    for_each_element(p.shape, [&](int64_t logical, int64_t stored) {
        out[logical] = Logical(element(host.data(), k.parameter, stored));
    });
    return out;
}

template <class Logical>
void write_as(const Kernels& k, const Filter& f, void* device, const Logical* values) {
    std::vector<char> host(size_t(f.stored()) * bytes_of(k.parameter), 0);
    for_each_element(f, [&](int64_t logical, int64_t stored) {
        set_element(host.data(), k.parameter, stored, double(values[logical]));
    });
    copy_to_device(k.memory, device, host);
    k.memory.synchronize({});
}

}  // namespace

Buffer parameter_block(const Kernels& k, const Filter& f, const std::vector<double>& values) {
    Buffer out(k.memory, size_t(f.stored()) * bytes_of(k.parameter));
    write_as(k, f, out.data(), values.data());
    return out;
}

std::vector<int64_t> Param::file_shape() const {
    if (kind == Kind::filter) return {shape.k, shape.c, shape.r, shape.s};
    if (kind == Kind::linear) return {shape.k, int64_t(shape.c) * shape.r * shape.s};
    return {shape.k};
}

Param* ParamStore::add(Param p) {
    FP_CHECK(!values_, "parameter ", p.name, " is added to a store that has its memory already");
    FP_CHECK(!find(p.name), "parameter ", p.name, " is there twice");
    params_.push_back(std::move(p));
    return &params_.back();
}

Param* ParamStore::add_filter(std::string name, int k, int c, int r, int s, int x_block) {
    return add({.name = std::move(name), .kind = Param::Kind::filter, .shape = kernels_.filter(k, c, r, s, x_block)});
}

Param* ParamStore::add_linear(std::string name, int k, int c, int r, int s, int x_block) {
    return add({.name = std::move(name), .kind = Param::Kind::linear, .shape = kernels_.filter(k, c, r, s, x_block)});
}

Param* ParamStore::add_vector(std::string name, int channels, Param::Kind kind) {
    return add({.name = std::move(name), .kind = kind, .shape = {.k = channels, .k_block = kernels_.block(channels)}});
}

void ParamStore::allocate() {
    auto place = [&](int64_t& end, auto wanted) {
        for (Param& p : params_) {
            if (!wanted(p.kind)) continue;
            p.offset = end;
            end += round_up(p.shape.stored(), kParamAlign);
        }
    };
    using Kind = Param::Kind;
    place(trained_count_, [](Kind kind) { return kind == Kind::filter || kind == Kind::linear; });
    place(trained_count_, [](Kind kind) { return kind == Kind::vector; });
    place(statistics_count_, [](Kind kind) { return kind == Kind::statistic; });

    auto zeros = [&](int64_t count) {
        Buffer b(kernels_.memory, size_t(std::max<int64_t>(count, 1)) * bytes_of(kernels_.parameter));
        kernels_.memory.zero(b.data(), b.bytes(), {});
        return b;
    };
    values_ = zeros(trained_count_);
    grads_ = zeros(trained_count_);
    statistics_ = zeros(statistics_count_);
    for (Param& p : params_) {
        p.value = static_cast<par*>(in_block(p, (p.trained() ? values_ : statistics_).data()));
        if (p.trained()) p.grad = static_cast<par*>(in_block(p, grads_.data()));
    }
}

const Param* ParamStore::find(const std::string& name) const {
    for (const Param& p : params_)
        if (p.name == name) return &p;
    return nullptr;
}

std::vector<double> ParamStore::read(const Param& p, const void* device) const {
    return read_as<double>(kernels_, p, device);
}

std::vector<float> ParamStore::get_f32(const Param& p) const { return read_as<float>(kernels_, p, p.value); }

void ParamStore::set(const Param& p, const double* values) {
    write_as(kernels_, p.shape, p.value, values);
    touch();
}

void ParamStore::set_f32(const Param& p, const float* values) {
    write_as(kernels_, p.shape, p.value, values);
    touch();
}

void* ParamStore::in_block(const Param& p, const void* block) const {
    return static_cast<char*>(const_cast<void*>(block)) + size_t(p.offset) * bytes_of(kernels_.parameter);
}

std::vector<double> ParamStore::get_block(const Param& p, const void* block) const {
    return read(p, in_block(p, block));
}

void ParamStore::set_block(const Param& p, void* block, const double* values) const {
    write_as(kernels_, p.shape, in_block(p, block), values);
}

std::vector<ParamStore::Run> ParamStore::runs(bool filters) const {
    std::vector<Run> out;
    for (const Param& p : params_) {
        const bool is_vector = p.kind == Param::Kind::vector;
        if (!p.trained() || !p.trainable || is_vector == filters) continue;
        const int64_t begin = p.offset, end = p.offset + p.shape.stored();
        // The gaps that alignment leaves hold zeros, so a run may go across them.
        if (!out.empty() && begin == round_up(out.back().end, kParamAlign))
            out.back().end = end;
        else
            out.push_back({begin, end});
    }
    return out;
}

int64_t ParamStore::parameters() const {
    int64_t total = 0;
    for (const Param& p : params_)
        if (p.trained()) total += p.count();
    return total;
}

}  // namespace fp
