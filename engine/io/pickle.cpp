#include "engine/io/pickle.h"

#include <algorithm>
#include <cstring>

namespace fp {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMostOperations = 4'000'000, kMostGlobal = 512;
constexpr uint64_t kMostNames = 64 << 20;  // bytes of the names of classes and functions: each value has a copy

class PickleMachine {
public:
    PickleMachine(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

    Pickle run() {
        for (uint64_t i = 0; i < kMostOperations; ++i) {
            const auto op = number<uint8_t>();
            if (op == '.') {
                need(marks_.empty(), "it ends within a mark");
                out_.root = pop();
                out_.bytes = at_;
                return std::move(out_);
            }
            if (!run_value(op) && !run_text(op) && !run_memo(op) && !run_container(op) && !run_call(op))
                fail_with(Exit::model, where_, ": byte ", at_ - 1, " of its pickle is opcode ", int(op),
                          ", which torch.save does not write");
        }
        fail_with(Exit::model, where_, ": its pickle has more than ", kMostOperations, " opcodes");
    }

private:
    void need(bool right, std::string_view fault) const {
        FP_REQUIRE(right, Exit::model, where_, ": its pickle is broken before byte ", at_, ": ", fault);
    }

    template <class T>
    T number() {
        const std::span<const std::byte> from = part(sizeof(T));
        T value;
        std::memcpy(&value, from.data(), sizeof(T));
        return value;
    }
    std::span<const std::byte> part(uint64_t count) {
        need(count <= bytes_.size() - at_, "it is cut off");
        at_ += count;
        return bytes_.subspan(at_ - count, count);
    }
    std::string text_of(uint64_t count) {
        const auto from = part(count);
        return {reinterpret_cast<const char*>(from.data()), from.size()};
    }
    std::string line() {
        const auto rest = bytes_.subspan(at_);
        const auto end = std::ranges::find(rest, std::byte{'\n'});
        need(end != rest.end(), "a line without its end");
        const std::string out = text_of(uint64_t(end - rest.begin()));
        ++at_;
        return out;
    }

    bool push(PickleValue value) {
        stack_.push_back(PickleRef(out_.values.size()));
        out_.values.push_back(std::move(value));
        return true;
    }
    PickleRef pop() {
        need(stack_.size() > floor(), "its stack is empty");
        const PickleRef top = stack_.back();
        stack_.pop_back();
        return top;
    }
    PickleValue& top() {
        need(stack_.size() > floor(), "its stack is empty");
        return out_.values[stack_.back()];
    }
    size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
    // What stands above the last mark, which goes.
    std::vector<PickleRef> pop_mark() {
        need(!marks_.empty(), "no mark is set");
        const std::vector<PickleRef> out(stack_.begin() + int64_t(marks_.back()), stack_.end());
        stack_.resize(marks_.back());
        marks_.pop_back();
        return out;
    }
    bool push_tuple(size_t count) {
        std::vector<PickleRef> items(count);
        for (size_t i = count; i-- > 0;) items[i] = pop();
        return push({.kind = Kind::tuple, .items = std::move(items)});
    }
    bool push_integer(int64_t value) { return push({.kind = Kind::integer, .integer = value}); }
    bool push_text(Kind kind, uint64_t count) { return push({.kind = kind, .text = text_of(count)}); }

    // A little-endian number of so many bytes in two's complement.
    bool push_long(uint64_t count) {
        const auto from = part(count);
        if (count > 8)
            return push({.kind = Kind::unknown, .text = {reinterpret_cast<const char*>(from.data()), count}});
        const bool negative = count > 0 && uint8_t(from[count - 1]) >= 0x80;
        uint64_t value = negative ? ~uint64_t(0) : 0;
        std::memcpy(&value, from.data(), count);
        return push_integer(int64_t(value));
    }

    bool run_value(uint8_t op) {
        switch (op) {
            case 0x80:  // PROTO
                need(number<uint8_t>() <= 5, "it is of a protocol above 5");
                return true;
            case 0x95:  // FRAME
                need(number<uint64_t>() <= bytes_.size() - at_, "a frame that is cut off");
                return true;
            case 'N':
                return push({});
            case 0x88:  // NEWTRUE
            case 0x89:  // NEWFALSE
                return push({.kind = Kind::boolean, .integer = op == 0x88});
            case 'K':
                return push_integer(number<uint8_t>());
            case 'M':
                return push_integer(number<uint16_t>());
            case 'J':
                return push_integer(number<int32_t>());
            case 0x8a:  // LONG1
                return push_long(number<uint8_t>());
            case 0x8b:  // LONG4
                return push_long(number<uint32_t>());
            case 'G':  // BINFLOAT
                part(8);
                return push({.kind = Kind::real});
            default:
                return false;
        }
    }

    bool run_text(uint8_t op) {
        switch (op) {
            case 0x8c:  // SHORT_BINUNICODE
            case 'U':   // SHORT_BINSTRING
                return push_text(Kind::text, number<uint8_t>());
            case 'X':  // BINUNICODE
            case 'T':  // BINSTRING
                return push_text(Kind::text, number<uint32_t>());
            case 0x8d:  // BINUNICODE8
                return push_text(Kind::text, number<uint64_t>());
            case 'C':  // SHORT_BINBYTES
                return push_text(Kind::bytes, number<uint8_t>());
            case 'B':  // BINBYTES
                return push_text(Kind::bytes, number<uint32_t>());
            case 0x8e:  // BINBYTES8
            case 0x96:  // BYTEARRAY8
                return push_text(Kind::bytes, number<uint64_t>());
            default:
                return false;
        }
    }

    bool run_memo(uint8_t op) {
        switch (op) {
            case 'q':  // BINPUT
                return remember(number<uint8_t>());
            case 'r':  // LONG_BINPUT
                return remember(number<uint32_t>());
            case 0x94:  // MEMOIZE
                return remember(stored_);
            case 'h':  // BINGET
                return recall(number<uint8_t>());
            case 'j':  // LONG_BINGET
                return recall(number<uint32_t>());
            case '0':  // POP
                if (!marks_.empty() && stack_.size() == floor())
                    marks_.pop_back();
                else
                    pop();
                return true;
            case '1':  // POP_MARK
                pop_mark();
                return true;
            case '2':  // DUP
                top();
                stack_.push_back(stack_.back());
                return true;
            default:
                return false;
        }
    }
    bool remember(uint32_t place) {
        top();
        need(place < kMostOperations, "it stores at a place that no pickle of its length needs");
        if (place >= memo_.size()) memo_.resize(place + 1);
        stored_ += !memo_[place];
        memo_[place] = stack_.back();
        return true;
    }
    bool recall(uint32_t place) {
        need(place < memo_.size() && memo_[place], "it recalls what it never stored");
        stack_.push_back(*memo_[place]);
        return true;
    }

    bool run_container(uint8_t op) {
        switch (op) {
            case '(':
                marks_.push_back(stack_.size());
                return true;
            case ')':
            case 0x85:  // TUPLE1
            case 0x86:
            case 0x87:
                return push_tuple(op == ')' ? 0 : op - 0x84u);
            case 't':
                return push({.kind = Kind::tuple, .items = pop_mark()});
            case ']':
            case 0x8f:  // EMPTY_SET
                return push({.kind = Kind::list});
            case '}':
                return push({.kind = Kind::dict});
            case 0x91:  // FROZENSET
                return push({.kind = Kind::list, .items = pop_mark()});
            case 'a':  // APPEND
                return add({pop()}, false);
            case 'e':   // APPENDS
            case 0x90:  // ADDITEMS
                return add(pop_mark(), false);
            case 's': {  // SETITEM
                const PickleRef value = pop(), key = pop();
                return add({key, value}, true);
            }
            case 'u':  // SETITEMS
                return add(pop_mark(), true);
            default:
                return false;
        }
    }
    // To what stands on top. Items that are appended to a call are not kept: no class that is known has any.
    bool add(const std::vector<PickleRef>& items, bool keyed) {
        PickleValue& to = top();
        need(!keyed || items.size() % 2 == 0, "a key without a value");
        if (keyed)
            need(to.kind == Kind::dict || to.kind == Kind::call, "it sets keys of what is no dict");
        else
            need(to.kind == Kind::list || to.kind == Kind::call, "it appends to what is no list");
        if (keyed || to.kind == Kind::list) to.items.insert(to.items.end(), items.begin(), items.end());
        return true;
    }

    bool run_call(uint8_t op) {
        switch (op) {
            case 'c': {  // GLOBAL
                const std::string module = line();
                return push_global(module, line());
            }
            case 0x93: {  // STACK_GLOBAL
                const PickleRef name = pop(), module = pop();
                return push_global(out_[module].text, out_[name].text);
            }
            case 'R':   // REDUCE
            case 0x81:  // NEWOBJ
                return call(pop());
            case 0x92: {  // NEWOBJ_EX, whose named arguments nothing needs
                pop();
                return call(pop());
            }
            case 'b': {  // BUILD
                const PickleRef state = pop();
                top().state = state;
                return true;
            }
            case 'Q': {  // BINPERSID
                const PickleRef named = pop();
                return push({.kind = Kind::persistent, .args = named});
            }
            default:
                return false;
        }
    }
    bool push_global(const std::string& module, const std::string& name) {
        need(module.size() + name.size() <= kMostGlobal, "a name of a class that is too long");
        return push_named({.kind = Kind::global, .text = module + "." + name});
    }
    bool push_named(PickleValue value) {
        need(value.text.size() <= names_left_, "names of classes that take more than 64 MiB");
        names_left_ -= value.text.size();
        return push(std::move(value));
    }
    bool call(PickleRef args) {
        PickleRef called = pop();
        need(out_[args].kind == Kind::tuple, "a call whose arguments are no tuple");
        // The older format names the class of a module with its source text beside it.
        if (const PickleValue& named = out_[called]; named.kind == Kind::persistent)
            if (const auto& parts = out_[named.args].items; parts.size() > 1) called = parts[1];
        const bool global = out_[called].kind == Kind::global;
        return push_named(
            {.kind = Kind::call, .args = args, .text = global ? out_[called].text : "a computed function"});
    }

    std::span<const std::byte> bytes_;
    const std::string& where_;
    uint64_t at_ = 0;
    Pickle out_ = {};
    std::vector<PickleRef> stack_ = {};
    std::vector<size_t> marks_ = {};
    std::vector<std::optional<PickleRef>> memo_ = {};
    uint32_t stored_ = 0;  // places of the memo that hold a value
    uint64_t names_left_ = kMostNames;
};

}  // namespace

std::vector<std::pair<PickleRef, PickleRef>> Pickle::pairs(PickleRef ref) const {
    const PickleValue& value = values[ref];
    std::vector<std::pair<PickleRef, PickleRef>> out;
    if (value.kind != Kind::dict && value.kind != Kind::call) return out;
    // Python 2 gives an OrderedDict its items as an argument: a list of lists of two.
    if (value.kind == Kind::call && value.text == "collections.OrderedDict")
        if (const auto list = argument(ref, 0))
            for (const PickleRef item : values[*list].items)
                if (values[item].items.size() == 2) out.emplace_back(values[item].items[0], values[item].items[1]);
    for (size_t i = 0; i + 1 < value.items.size(); i += 2) out.emplace_back(value.items[i], value.items[i + 1]);
    return out;
}

std::optional<PickleRef> Pickle::find(PickleRef dict, std::string_view key) const {
    for (const auto& [k, v] : pairs(dict))
        if (values[k].kind == Kind::text && values[k].text == key) return v;
    return std::nullopt;
}

std::optional<PickleRef> Pickle::argument(PickleRef call, size_t i) const {
    if (values[call].kind != Kind::call) return std::nullopt;
    const auto& args = values[values[call].args].items;
    return i < args.size() ? std::optional(args[i]) : std::nullopt;
}

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where) {
    return PickleMachine(bytes, where).run();
}

}  // namespace fp
