// Shared by the reference kernels: access to elements by logical index in any layout.
#pragma once

#include "kernels/kernels.h"

namespace fp::reference {

// Loops of fewer multiply-adds or elements run on one thread. Threads do not change the order of a sum: one thread
// computes each output.
constexpr double kWorthThreads = 1 << 22;

template <class T>
struct MapView {
    Map map;
    T* data;
    T& operator()(int n, int c, int h, int w) const { return data[map.at(n, c, h, w)]; }
};

template <class T>
struct FilterView {
    Filter filter;
    T* data;
    T& operator()(int k, int c, int r, int s) const { return data[filter.at(k, c, r, s)]; }
};

template <class T>
MapView<const T> view(const Map& map, const act* data) {
    return {map, as<T>(data)};
}
template <class T>
MapView<T> view(const Map& map, act* data) {
    return {map, as<T>(data)};
}
template <class T>
FilterView<const T> view(const Filter& filter, const par* data) {
    return {filter, as<T>(data)};
}
template <class T>
FilterView<T> view(const Filter& filter, par* data) {
    return {filter, as<T>(data)};
}

// A value is rounded before it is added, so that two calls give what the sum of two results of their own gives.
template <class T>
void put(T& slot, double value, Write write) {
    slot = write == Write::add ? T(slot + T(value)) : T(value);
}

// Calls body(n, c, h, w) for every logical element. One thread processes all elements of an (n, c).
template <class Body>
void for_each(const Map& m, const Body& body) {
#pragma omp parallel for collapse(2) if (double(m.logical()) > kWorthThreads)
    for (int n = 0; n < m.n; ++n)
        for (int c = 0; c < m.c; ++c)
            for (int h = 0; h < m.h; ++h)
                for (int w = 0; w < m.w; ++w) body(n, c, h, w);
}

template <class T>
void zero_padding(const MapView<T>& y) {
    const Map& m = y.map;
    for (int n = 0; n < m.n; ++n)
        for (int c = m.c; c < m.stored_c(); ++c)
            for (int h = 0; h < m.h; ++h)
                for (int w = 0; w < m.w; ++w) y(n, c, h, w) = T(0);
}

template <class T>
void zero_padding(const FilterView<T>& w) {
    const Filter& f = w.filter;
    for (int k = 0; k < f.k_blocks() * f.k_block; ++k)
        for (int c = k < f.k ? f.c : 0; c < f.c_blocks() * f.c_block; ++c)
            for (int r = 0; r < f.r; ++r)
                for (int s = 0; s < f.s; ++s) w(k, c, r, s) = T(0);
}

// A per-channel vector: `count` numbers, then zeros up to `stored`.
template <class T>
void zero_padding(T* vector, int count, int stored) {
    for (int c = count; c < stored; ++c) vector[c] = T(0);
}

}  // namespace fp::reference
