// Python's pickles as data (https://github.com/python/cpython/blob/main/Lib/pickletools.py ). Nothing is imported,
// called or executed: what a pickle asks to call is kept as the name of the function with its arguments, and the reader
// decides what it knows.
//
// Read are the opcodes of protocols 2 to 5 without buffers outside the pickle; any other is an Error. Values are rows
// of one table, which name each other by number, so that a value may stand in many places, or in itself.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/files.h"

namespace fp {

using PickleRef = uint32_t;  // an index into Pickle::values

struct PickleValue {
    enum class Kind {
        none,
        boolean,  // integer: 0 or 1
        integer,  // of at most 64 bits
        real,     // its value is not kept
        text,     // text; also Python 2's strings
        bytes,    // text
        tuple,    // items
        list,     // items; also sets
        dict,     // items: key, value, key, value, ...
        global,   // text: "module.name"
        call,     // text: "module.name" of the class or function, args: a tuple; items as set afterwards: as of a dict
        persistent,  // args: what the pickle's writer named, torch.save a storage
        unknown,     // an integer of more than 64 bits
    };
    Kind kind = Kind::none;
    PickleRef args = 0;
    std::optional<PickleRef> state = {};  // of a call: what __setstate__ would get
    int64_t integer = 0;
    std::string text = {};
    std::vector<PickleRef> items = {};
};

struct Pickle {
    std::vector<PickleValue> values;
    PickleRef root = 0;
    uint64_t bytes = 0;  // that it takes of what was given

    const PickleValue& operator[](PickleRef ref) const { return values[ref]; }
    const PickleValue& top() const { return values[root]; }

    // Key and value of a dict, or of a call of a class like it (OrderedDict); of anything else nothing.
    std::vector<std::pair<PickleRef, PickleRef>> pairs(PickleRef) const;
    // The value under this text; empty where there is none.
    std::optional<PickleRef> find(PickleRef dict, std::string_view key) const;
    // The i-th argument of a call; empty where there are fewer.
    std::optional<PickleRef> argument(PickleRef call, size_t i) const;
};

// At most 4,000,000 opcodes and 64 MiB of names of classes. Exit::model for what is no such pickle, naming `where` and
// the place.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where);

}  // namespace fp
