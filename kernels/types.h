// The types that every op uses.
#pragma once

namespace fp {

// Opaque, so that neither is taken for the other: what lies behind is the table's activation or parameter type.
struct act;
struct par;

// The numbers behind such a pointer, as the backend's own type.
template <class T>
const T* as(const act* p) {
    return reinterpret_cast<const T*>(p);
}
template <class T>
T* as(act* p) {
    return reinterpret_cast<T*>(p);
}
template <class T>
const T* as(const par* p) {
    return reinterpret_cast<const T*>(p);
}
template <class T>
T* as(par* p) {
    return reinterpret_cast<T*>(p);
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
