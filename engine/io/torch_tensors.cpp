#include "engine/io/torch_tensors.h"

#include <algorithm>
#include <cstring>

namespace fp {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostDimensions = 32;
constexpr size_t kMostFunction = 128;  // bytes of a name that is searched wherever it stands
constexpr int kMostWrappings = 8;      // of a tensor in a Parameter in a subclass ...

struct TorchType {
    std::string_view storage, dtype;
    Dtype ours;
};
constexpr TorchType kTypes[]{
    {"DoubleStorage", "torch.float64", Dtype::f64}, {"FloatStorage", "torch.float32", Dtype::f32},
    {"HalfStorage", "torch.float16", Dtype::f16},   {"BFloat16Storage", "torch.bfloat16", Dtype::bf16},
    {"LongStorage", "torch.int64", Dtype::i64},     {"IntStorage", "torch.int32", Dtype::i32},
    {"ByteStorage", "torch.uint8", Dtype::u8},      {"BoolStorage", "torch.bool", Dtype::boolean}};

// The call of a function that makes a tensor, without the wrappings around it.
struct Rebuilt {
    std::string_view function;
    const std::vector<PickleRef>* args;
};

Rebuilt unwrapped(const Pickle& pickle, PickleRef ref) {
    for (int i = 0; i < kMostWrappings; ++i) {
        const PickleValue& value = pickle[ref];
        if (value.kind != Kind::call) break;
        const auto& args = pickle[value.args].items;
        if (value.text == "torch._utils._rebuild_parameter" ||
            value.text == "torch._utils._rebuild_parameter_with_state") {
            if (args.empty()) break;
            ref = args[0];
        } else if (value.text == "torch._tensor._rebuild_from_type_v2") {  // (function, class, arguments, state)
            if (args.size() < 3) break;
            return {pickle[args[0]].text, &pickle[args[2]].items};
        } else {
            return {value.text, &args};
        }
    }
    static const std::vector<PickleRef> none;
    return {"", &none};
}

bool makes_tensor(std::string_view function) {
    return function.size() <= kMostFunction && function.starts_with("torch.") &&
           function.find("._rebuild_") != function.npos;
}

// The arguments of such a call, each checked as it is read.
struct Description {
    const Pickle& pickle;
    const std::string& where;

    void need(bool right, std::string_view what) const {
        FP_REQUIRE(right, Exit::model, where, ": its ", what, " makes no sense");
    }
    int64_t number(PickleRef ref, std::string_view what) const {
        need(pickle[ref].kind == Kind::integer && pickle[ref].integer >= 0, what);
        return pickle[ref].integer;
    }
    // Of a tuple, or of a torch.Size made from one.
    std::vector<int64_t> numbers(PickleRef ref, std::string_view what) const {
        if (pickle[ref].kind == Kind::call && pickle[ref].text == "torch.Size")
            if (const auto inner = pickle.argument(ref, 0)) ref = *inner;
        need(pickle[ref].kind == Kind::tuple && pickle[ref].items.size() <= kMostDimensions, what);
        std::vector<int64_t> out;
        for (const PickleRef item : pickle[ref].items) out.push_back(number(item, what));
        return out;
    }
};

// The number of values; Exit::model where it does not fit 64 bits.
int64_t checked_count(const TorchTensor& t, const std::string& where) {
    int64_t count = 1;
    if (std::ranges::find(t.shape, 0) != t.shape.end()) return 0;
    for (const int64_t size : t.shape)
        FP_REQUIRE(!__builtin_mul_overflow(count, size, &count), Exit::model, where, ": the product of its shape ",
                   shape_text(t.shape), " does not fit 64 bits");
    return count;
}

void check_extent(const TorchTensor& t, const std::string& where) {
    if (checked_count(t, where) == 0) return;
    int64_t last = t.offset;
    bool fits = true;
    for (size_t d = 0; d < t.shape.size() && fits; ++d) {
        int64_t step = 0;
        fits =
            !__builtin_mul_overflow(t.shape[d] - 1, t.strides[d], &step) && !__builtin_add_overflow(last, step, &last);
    }
    FP_REQUIRE(fits && last < t.values, Exit::model, where, ": its shape ", shape_text(t.shape), " with strides ",
               shape_text(t.strides), " from ", t.offset, " on goes beyond its storage of ", t.values, " values");
}

}  // namespace

bool is_tensor(const Pickle& pickle, PickleRef ref) { return makes_tensor(unwrapped(pickle, ref).function); }

std::optional<TorchTensor> tensor_at(const Pickle& pickle,
                                     PickleRef ref,
                                     const std::string& where,
                                     std::string& reason) {
    const auto [function, args] = unwrapped(pickle, ref);
    const bool third = function == "torch._utils._rebuild_tensor_v3";
    if (function != "torch._utils._rebuild_tensor" && function != "torch._utils._rebuild_tensor_v2" && !third) {
        reason = makes_tensor(function) ? text("a tensor that ", printable(function), " makes") : "no tensor";
        return std::nullopt;
    }
    const Description description{pickle, where};
    description.need(args->size() >= (third ? 7 : 4), "description");
    const PickleValue& named = pickle[(*args)[0]];
    description.need(named.kind == Kind::persistent && pickle[named.args].items.size() >= 5, "storage");
    const auto& parts = pickle[named.args].items;
    description.need(pickle[parts[2]].text.size() <= kMostStorageKey, "storage's key");
    const std::string& type = third ? pickle[(*args)[6]].text : pickle[parts[1]].text;
    const auto known = std::ranges::find_if(kTypes, [&](const TorchType& row) {
        return third ? type == row.dtype
                     : type == text("torch.", row.storage) || type == text("torch.cuda.", row.storage);
    });
    if (known == std::end(kTypes)) {
        reason = text("a tensor of ", printable(type));
        return std::nullopt;
    }
    TorchTensor out{.storage = pickle[parts[2]].text, .dtype = known->ours};
    out.values = description.number(parts[4], "storage");
    if (third) out.values /= bytes_of(out.dtype);  // a storage without a type counts bytes
    out.offset = description.number((*args)[1], "offset");
    // A view of a storage, in files before PyTorch 0.4: (key, offset, values).
    if (parts.size() > 5 && pickle[parts[5]].items.size() == 3) {
        const auto& view = pickle[parts[5]].items;
        description.need(!__builtin_add_overflow(out.offset, description.number(view[1], "view"), &out.offset), "view");
    }
    out.shape = description.numbers((*args)[2], "shape");
    out.strides = description.numbers((*args)[3], "strides");
    description.need(out.shape.size() == out.strides.size(), "shape");
    check_extent(out, where);
    return out;
}

TorchStorages::TorchStorages(const ByteSource& source, const TorchArchive& archive, const std::string& file)
    : source_(source), archive_(archive), file_(file) {
    if (__builtin_mul_overflow(source.bytes, uint64_t(16), &bytes_left_)) bytes_left_ = UINT64_MAX / 2;
    bytes_left_ += 1 << 20;
}

const Bytes& TorchStorages::storage(const std::string& key, Dtype dtype, const std::string& where) {
    if (const auto found = read_.find(key); found != read_.end()) return found->second;
    const auto place = archive_.storages.find(key);
    FP_REQUIRE(place != archive_.storages.end(), Exit::model, where, ": its storage ", printable(key), " is missing");
    Bytes bytes = read_entry(source_, place->second, file_);
    const size_t width = size_t(bytes_of(dtype));
    if (archive_.big_endian)
        for (size_t at = 0; at + width <= bytes.size(); at += width)
            std::reverse(bytes.begin() + int64_t(at), bytes.begin() + int64_t(at + width));
    return read_[key] = std::move(bytes);
}

TensorEntry TorchStorages::copy(const std::string& name, const TorchTensor& t) {
    const std::string where = text(file_, ": ", printable(name));
    TensorEntry out{.name = name, .dtype = t.dtype, .shape = t.shape};
    const auto count = uint64_t(checked_count(t, where)), width = uint64_t(bytes_of(t.dtype));
    if (count == 0) return out;
    const Bytes& from = storage(t.storage, t.dtype, where);
    FP_REQUIRE(uint64_t(t.values) <= from.size() / width, Exit::model, where, ": a storage of ", t.values,
               " values of ", width, " bytes is named, but it has ", from.size(), " bytes");
    FP_REQUIRE(count <= bytes_left_ / width, Exit::model, where, ": has ", count,
               " values; with it the tensors would take more than 16 times the file's bytes");
    bytes_left_ -= count * width;
    out.data.resize(count * width);
    // Innermost first, without dimensions of one value, whose stride says nothing; `run` values lie side by side.
    std::vector<int64_t> shape, strides;
    int64_t run = 1;
    for (size_t d = t.shape.size(); d-- > 0;) {
        if (t.shape[d] == 1) continue;
        if (shape.empty() && t.strides[d] == run) {
            run *= t.shape[d];
        } else {
            shape.push_back(t.shape[d]);
            strides.push_back(t.strides[d]);
        }
    }
    std::vector<int64_t> index(shape.size());
    int64_t at = t.offset;
    for (uint64_t i = 0; i < count; i += uint64_t(run)) {
        std::memcpy(out.data.data() + i * width, from.data() + uint64_t(at) * width, uint64_t(run) * width);
        for (size_t d = 0; d < index.size(); ++d) {
            at += strides[d];
            if (++index[d] < shape[d]) break;
            at -= strides[d] * shape[d];
            index[d] = 0;
        }
    }
    return out;
}

}  // namespace fp
