#include "kernels/onednn/onednn.h"

#include <omp.h>

#include <map>
#include <mutex>
#include <string_view>

#include "kernels/error.h"

namespace fp::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
constexpr auto kFloat = memory::data_type::f32;
constexpr size_t kAlignment = 64;

dnnl::stream& stream() {
    thread_local dnnl::stream stream(engine());
    return stream;
}

memory at(const Desc& desc, const void* pointer) { return memory(desc, engine(), const_cast<void*>(pointer)); }

void copy(const dnnl::reorder& move, memory from, memory to) { move.execute(stream(), from, to); }

dnnl::reorder make_reorder(const Desc& from, const Desc& to, bool add = false) {
    dnnl::primitive_attr attributes;
    dnnl::post_ops after;
    if (add) after.append_sum();
    attributes.set_post_ops(after);
    return dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to, attributes));
}

// oneDNN 3 renamed these, and its ReLU has no scale factor.
template <class D>
memory::dims dims_of(const D& desc) {
    if constexpr (requires { desc.get_dims(); })
        return desc.get_dims();
    else
        return desc.dims();
}

template <class D>
bool is_blocked(const D& desc) {
    if constexpr (requires { desc.get_format_kind(); })
        return desc.get_format_kind() == memory::format_kind::blocked;
    else
        return desc.data.format_kind == dnnl_blocked;
}

template <class P>
void append_relu(P& after) {
    constexpr auto relu = dnnl::algorithm::eltwise_relu;
    if constexpr (requires { after.append_eltwise(1.f, relu, 0.f, 0.f); })
        after.append_eltwise(1.f, relu, 0.f, 0.f);
    else
        after.append_eltwise(relu, 0.f, 0.f);
}

// Whether the primitive adds to what its output holds.
bool sums(const dnnl::primitive_desc& made) {
    const dnnl::primitive_attr attributes = made.get_primitive_attr();  // owns what follows
    const dnnl::post_ops after = attributes.get_post_ops();
    for (int i = 0; i < after.len(); ++i) {
        if (after.kind(i) == dnnl::primitive::kind::sum) return true;
    }
    return false;
}

}  // namespace

const dnnl::engine& engine() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

Desc desc(const Map& m) {
    const Tag tag = m.block == 16 ? Tag::nChw16c : m.block == 8 ? Tag::nChw8c : m.block == 1 ? Tag::nchw : Tag::undef;
    FP_CHECK(tag != Tag::undef, "oneDNN: no layout for blocks of ", m.block, " channels");
    return Desc({m.n, m.stored_c(), m.h, m.w}, kFloat, tag);
}

Desc desc(const Filter& f) {
    const auto is = [&](int k_block, int c_block) { return f.k_block == k_block && f.c_block == c_block; };
    const Tag tag = is(16, 16)  ? Tag::OIhw16i16o
                    : is(8, 8)  ? Tag::OIhw8i8o
                    : is(16, 1) ? Tag::Oihw16o
                    : is(8, 1)  ? Tag::Abcd8a
                    : is(1, 1)  ? Tag::oihw
                                : Tag::undef;
    FP_CHECK(tag != Tag::undef, "oneDNN: no layout for filters in blocks of ", f.k_block, " x ", f.c_block);
    return Desc({f.k_blocks() * f.k_block, f.c_blocks() * f.c_block, f.r, f.s}, kFloat, tag);
}

Desc vector_desc(int count) { return Desc({count}, kFloat, Tag::x); }

memory::dims dims(const Desc& d) { return dims_of(d); }

Desc any(const Desc& d) { return Desc(dims(d), kFloat, Tag::any); }

dnnl::primitive_attr attributes(bool sum, bool relu) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops after;
    if (sum) after.append_sum();
    if (relu) append_relu(after);
    attributes.set_post_ops(after);
    return attributes;
}

void reorder(const Desc& from, const void* source, const Desc& to, void* target) {
    if (is_blocked(to)) {
        copy(make_reorder(from, to), at(from, source), at(to, target));
    } else {
        const Desc plain(dims(from), kFloat, Tag::oihw);
        const memory between(plain, engine());
        copy(make_reorder(from, plain), at(from, source), between);
        copy(make_reorder(plain, to), between, at(to, target));
    }
    stream().wait();
}

Plan::Plan(const dnnl::primitive_desc& made, std::vector<Argument> arguments)
    : implementation_(made.impl_info_str()), call_(made), scratchpad_(made.scratchpad_desc()) {
    FP_CHECK(!is_reference(made), "oneDNN has only its reference loops here: ", implementation_);
    const auto take = [&](size_t bytes) {
        const size_t offset = scratch_bytes_;
        scratch_bytes_ += size_t(round_up(int64_t(bytes), kAlignment));
        return offset;
    };
    take(scratchpad_.get_size());
    for (const Argument& a : arguments) {
        Slot slot{a.id, a.ours, made.query_md(dnnl::query::exec_arg_md, a.id), 0, {}};
        const bool output = &a == &arguments.back();
        if (slot.ours != slot.wanted) {
            slot.moves = output ? make_reorder(slot.wanted, slot.ours) : make_reorder(slot.ours, slot.wanted);
        }
        if (output) adds_ = make_reorder(slot.wanted, slot.ours, true);
        if (output && slot.moves && sums(made)) loads_ = make_reorder(slot.ours, slot.wanted);
        if (output || slot.moves) slot.offset = take(slot.wanted.get_size());
        slots_.push_back(std::move(slot));
    }
}

const Desc& Plan::wanted(int id) const {
    for (const Slot& slot : slots_) {
        if (slot.id == id) return slot.wanted;
    }
    fail("oneDNN: ", implementation_, " has no argument ", id);
}

void Plan::run(std::initializer_list<const void*> pointers, Write write, void* scratch) const {
    FP_CHECK(pointers.size() == slots_.size(), "oneDNN: ", implementation_, " takes ", slots_.size(),
             " arguments, not ", pointers.size());
    std::byte* const base = static_cast<std::byte*>(scratch);
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SCRATCHPAD, at(scratchpad_, base)}};
    const void* const* pointer = pointers.begin();
    for (const Slot& slot : slots_) {
        const bool output = &slot == &slots_.back();
        const bool aside = slot.moves || (output && write == Write::add);
        const memory used = at(slot.wanted, aside ? base + slot.offset : *pointer);
        const auto& load = output ? loads_ : slot.moves;
        if (load) copy(*load, at(slot.ours, *pointer), used);
        arguments.emplace(slot.id, used);
        ++pointer;
    }
    call_.execute(stream(), arguments);

    const Slot& out = slots_.back();
    const memory target = at(out.ours, *(pointers.end() - 1));
    if (write == Write::add) {
        copy(*adds_, arguments.at(out.id), target);
    } else if (out.moves) {
        copy(*out.moves, arguments.at(out.id), target);
    }
    stream().wait();
}

bool is_reference(const dnnl::primitive_desc& made) {
    return std::string_view(made.impl_info_str()).starts_with("ref");
}

Key key_of(std::initializer_list<int> what, const Map& x, const Filter& w, const Map& y) {
    Key key(what);
    for (const Map& m : {x, y}) key.insert(key.end(), {m.n, m.stored_c(), m.h, m.w, m.block});
    key.insert(key.end(), {w.k_blocks(), w.c_blocks(), w.r, w.s, w.k_block, w.c_block});
    return key;
}

const Plan& cached(Key key, const std::function<Plan()>& make) {
    static std::mutex mutex;
    static std::map<Key, Plan> plans;
    key.push_back(omp_get_max_threads());
    const std::lock_guard lock(mutex);
    const auto found = plans.find(key);
    return found != plans.end() ? found->second : plans.emplace(std::move(key), make()).first->second;
}

}  // namespace fp::onednn
