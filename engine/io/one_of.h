// A choice by name (criteria, schedules, samplers, ...). Each alternative is one constant of its type T:
//
//   T::kind               the kind of thing, for messages: "schedule"
//   T::all()              pointers to all of them, in the order of --help
//   .name, .says          the word that chooses it and a line about it
//
// Help, checks and error messages come from these.
#pragma once

#include <concepts>
#include <ostream>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace fp {

// "a, b, c"
template <class T>
std::string names_of() {
    std::string out;
    for (const T* one : T::all()) out += (out.empty() ? "" : ", ") + std::string(one->name);
    return out;
}

// Exit::usage for another name.
template <class T>
const T& named(std::string_view name) {
    for (const T* one : T::all())
        if (one->name == name) return *one;
    fail_with(Exit::usage, T::kind, " `", name, "` is not one of ", names_of<T>());
}

// A setting whose value is one of them. Made from a name it is checked there: OneOf<Schedule> kind = "cosine".
template <class T>
class OneOf {
public:
    OneOf(const T& one) : one_(&one) {}
    template <std::convertible_to<std::string_view> Name>
    OneOf(const Name& name) : one_(&named<T>(name)) {}

    const T& operator*() const { return *one_; }
    const T* operator->() const { return one_; }
    operator std::string() const { return std::string(one_->name); }

    bool operator==(const OneOf&) const = default;
    bool operator==(const T& one) const { return one_ == &one; }
    friend std::ostream& operator<<(std::ostream& out, const OneOf& one) { return out << one->name; }

private:
    const T* one_;
};

}  // namespace fp
