// Small files as torch.save writes them, made by hand: what PyTorch itself would not write.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "engine/io/zip.h"

namespace fp::testing {

template <class T>
std::string le(T value) {
    std::string out(sizeof(T), ' ');
    std::memcpy(out.data(), &value, sizeof(T));
    return out;
}

struct Entry {
    std::string name, content;
    uint16_t method = 0;
    uint32_t at = ~0u;  // where the directory says that the header lies; ~0: where it does
};

// A zip archive of stored entries.
inline std::string zip_of(const std::vector<Entry>& entries) {
    std::string out, directory;
    for (const Entry& e : entries) {
        const std::string sizes = le(crc32(as_bytes(e.content))) + le(uint32_t(e.content.size())) +
                                  le(uint32_t(e.content.size())) + le(uint16_t(e.name.size())) + le(uint16_t(0));
        const std::string common = le(uint16_t(20)) + le(uint16_t(0)) + le(e.method) + le(uint32_t(0)) + sizes;
        const uint32_t at = e.at == ~0u ? uint32_t(out.size()) : e.at;
        directory += "PK\x01\x02" + le(uint16_t(20)) + common + le(uint16_t(0)) + le(uint16_t(0)) + le(uint16_t(0)) +
                     le(uint32_t(0)) + le(at) + e.name;
        out += "PK\x03\x04" + common + e.name + e.content;
    }
    const auto count = uint16_t(entries.size());
    return out + directory + "PK\x05\x06" + le(uint16_t(0)) + le(uint16_t(0)) + le(count) + le(count) +
           le(uint32_t(directory.size())) + le(uint32_t(out.size())) + le(uint16_t(0));
}

// The opcodes of a text, an integer, a name, a tuple.
inline std::string text_op(const std::string& text) { return "X" + le(uint32_t(text.size())) + text; }
inline std::string int_op(int64_t value) { return std::string("\x8a\x08") + le(value); }
inline std::string name_op(const std::string& module, const std::string& name) {
    return "c" + module + "\n" + name + "\n";
}
inline std::string tuple_op(const std::vector<std::string>& items) {
    std::string out = "(";
    for (const std::string& item : items) out += item;
    return out + "t";
}

struct HandTensor {
    std::vector<int64_t> shape, strides;
    int64_t offset = 0, values = 4;
    std::string storage = "FloatStorage", key = "0";
};
inline std::string tensor_op(const HandTensor& t) {
    const auto numbers = [](const std::vector<int64_t>& values) {
        std::vector<std::string> items;
        for (const int64_t v : values) items.push_back(int_op(v));
        return tuple_op(items);
    };
    const std::string storage =
        tuple_op({text_op("storage"), name_op("torch", t.storage), text_op(t.key), text_op("cpu"), int_op(t.values)}) +
        "Q";
    return name_op("torch._utils", "_rebuild_tensor_v2") +
           tuple_op({storage, int_op(t.offset), numbers(t.shape), numbers(t.strides), "\x89", "}"}) + "R";
}

inline std::string pickle_of(const std::string& ops) { return "\x80\x02" + ops + "."; }
// A dict of one tensor `w`.
inline std::string dict_of(const HandTensor& t) { return pickle_of("}" + text_op("w") + tensor_op(t) + "s"); }

// An archive of a pickle and a storage "0" of the float32 numbers 0, 1, 2, 3.
inline std::string archive_of(const std::string& pickle, const std::vector<Entry>& more = {}) {
    std::string four;
    for (const float v : {0.f, 1.f, 2.f, 3.f}) four += le(v);
    std::vector<Entry> entries{{"a/data.pkl", pickle}, {"a/data/0", four}};
    entries.insert(entries.end(), more.begin(), more.end());
    return zip_of(entries);
}

}  // namespace fp::testing
