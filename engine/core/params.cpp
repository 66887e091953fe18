#include "engine/core/params.h"

#include <algorithm>
#include <cstring>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr int64_t kParamAlign = 64;  // elements: every parameter starts on a cache line

constexpr int64_t kAlone = 1 << 15;  // elements that one thread moves sooner than several

// Elements that lie side by side in a block: of `count` filters from `filter` on. In file order they are `row` apart.
struct Strip {
    int filter, count;
    int64_t stored, logical, row;
};

// Calls visit(strip) for strips that make up all logical elements; several threads share the blocks of filters.
template <class Visit>
void for_each_strip(const Filter& f, const Visit& visit) {
    const int64_t taps = int64_t(f.r) * f.s, row = f.c * taps, tap_step = int64_t(f.c_block) * f.k_block;
#pragma omp parallel for if (f.logical() > kAlone)
    for (int k = 0; k < f.k; k += f.k_block) {
        const int filters = std::min(f.k_block, f.k - k);
        for (int c = 0; c < f.c; ++c) {
            const int64_t stored = f.at(k, c, 0, 0), logical = k * row + c * taps;
            for (int64_t tap = 0; tap < taps; ++tap)
                visit(Strip{k, filters, stored + tap * tap_step, logical + tap, row});
        }
    }
}

// Calls body(the block's elements), which are of type float or double.
template <class Body>
void with_elements(const Kernels& k, void* block, const Body& body) {
    k.parameter == Type::f64 ? body(static_cast<double*>(block)) : body(static_cast<float*>(block));
}

size_t block_bytes(const Kernels& k, const Filter& f) { return size_t(f.stored()) * bytes_of(k.parameter); }

// A parameter's block where the host can read it: itself, or a copy.
class OnHost {
public:
    OnHost(const Kernels& k, const Filter& f, const void* block) : block_(block) {
        if (k.memory.is_host) return;
        copy_ = copy_to_host<char>(k.memory, block, block_bytes(k, f));
        block_ = copy_.data();
    }
    template <class Element>
    const Element* as() const {
        return static_cast<const Element*>(block_);
    }

private:
    std::vector<char> copy_;
    const void* block_;
};

// fill(elements) sets the logical elements of a block; the others become zeros.
template <class Fill>
void write_block(const Kernels& k, const Filter& f, void* block, const Fill& fill) {
    const size_t bytes = block_bytes(k, f);
    if (k.memory.is_host) {
        if (f.stored() > f.logical()) std::memset(block, 0, bytes);
        return with_elements(k, block, fill);
    }
    std::vector<char> copy(bytes);
    with_elements(k, copy.data(), fill);
    copy_to_device(k.memory, block, copy);
    k.memory.synchronize({});
}

template <class Logical>
std::vector<Logical> read_as(const Kernels& k, const Param& p, const void* block) {
    const OnHost host(k, p.shape, block);
    std::vector<Logical> out(p.count());
    with_elements(k, nullptr, [&]<class Element>(Element*) {
        const Element* const values = host.as<Element>();
        for_each_strip(p.shape, [&](const Strip& s) {
            for (int i = 0; i < s.count; ++i) out[s.logical + i * s.row] = Logical(values[s.stored + i]);
        });
    });
    return out;
}

template <class Logical>
void write_as(const Kernels& k, const Filter& f, void* block, const Logical* values) {
    write_block(k, f, block, [&]<class Element>(Element* elements) {
        for_each_strip(f, [&](const Strip& s) {
            for (int i = 0; i < s.count; ++i) elements[s.stored + i] = Element(values[s.logical + i * s.row]);
        });
    });
}

}  // namespace

Buffer parameter_block(const Kernels& k, const Filter& f, const std::vector<double>& values) {
    Buffer out(k.memory, block_bytes(k, f));
    write_as(k, f, out.data(), values.data());
    return out;
}

par* scaled_block(const Kernels& k, const Param& p, const std::vector<double>& scale, Buffer& memory) {
    const OnHost host(k, p.shape, p.value);
    memory.grow(k.memory, block_bytes(k, p.shape));
    write_block(k, p.shape, memory.data(), [&]<class Element>(Element* scaled) {
        const Element* const values = host.as<Element>();
        for_each_strip(p.shape, [&](const Strip& s) {
            const Element* const from = values + s.stored;
            Element* const to = scaled + s.stored;
            const double* const factor = &scale[size_t(s.filter)];
#pragma omp simd
            for (int i = 0; i < s.count; ++i) to[i] = Element(double(from[i]) * factor[i]);
        });
    });
    return memory.as<par>();
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

    values_ = zeros(trained_count_);
    statistics_ = zeros(statistics_count_);
    for (Param& p : params_) {
        p.value = static_cast<par*>(in_block(p, (p.trained() ? values_ : statistics_).data()));
        p.store = this;
    }
}

Buffer ParamStore::zeros(int64_t count) const {
    Buffer b(kernels_.memory, size_t(std::max<int64_t>(count, 1)) * bytes_of(kernels_.parameter));
    kernels_.memory.zero(b.data(), b.bytes(), {});
    return b;
}

par* ParamStore::grads() const {
    if (!grads_) grads_ = zeros(trained_count_);
    return grads_.as<par>();
}

par* Param::grad() const { return trained() ? static_cast<par*>(store->in_block(*this, store->grads())) : nullptr; }

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
