// The types that every op uses.
#pragma once

namespace fp {

// Opaque types, so that pointers to activations and to parameters cannot be confused. The numbers behind them have the
// table's activation or parameter type.
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

// A sequence of calls that execute in order. The null stream is the backend's own.
struct Stream {
    void* handle = nullptr;
};
// A point in a stream.
struct Event {
    void* handle = nullptr;
};

// Whether a result replaces the contents of its buffer or is added to them.
enum class Write { replace, add };

}  // namespace fp
