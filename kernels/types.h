// The types that every op uses.
#pragma once

namespace fp {

using act = void;
using par = void;

// The numbers behind such a pointer, as the backend's own types.
template <class T>
const T* as(const act* p) {
    return static_cast<const T*>(p);
}
template <class T>
T* as(act* p) {
    return static_cast<T*>(p);
}

enum class Type { f32, f64, bf16 };
constexpr int bytes_of(Type t) { return t == Type::f64 ? 8 : t == Type::f32 ? 4 : 2; }

// What is done in order. The null one is the backend's own.
struct Stream {
    void* handle = nullptr;
};
// A mark in a stream.
struct Event {
    void* handle = nullptr;
};

// Whether a gradient replaces what is in its buffer or adds to it.
enum class Write { replace, add };

}  // namespace fp
