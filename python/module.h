// What the files of the Python module share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <vector>

namespace fp::python {

using Floats4 = nanobind::ndarray<const float, nanobind::ndim<4>, nanobind::c_contig, nanobind::device::cpu>;

void add_model(nanobind::module_&);
void add_statistics(nanobind::module_&);

// Called in long work without the GIL: throws KeyboardInterrupt once Ctrl-C was pressed.
void answer_signals();
inline void answer_signals_after(int64_t, int64_t) { answer_signals(); }

// An array of NumPy's that owns `values`.
template <class T>
nanobind::ndarray<nanobind::numpy, T> array_of(std::vector<T> values, const std::vector<size_t>& shape) {
    auto* kept = new std::vector<T>(std::move(values));
    const nanobind::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return {kept->data(), shape.size(), shape.data(), owner};
}

}  // namespace fp::python
