// The module fairprune._core: arrays and text in, arrays and JSON out. python/fairprune/__init__.py gives it its public
// form.
#include "python/module.h"

#include "engine/run/version.h"
#include "kernels/error.h"

namespace nb = nanobind;

namespace fp::python {

void answer_signals() {
    const nb::gil_scoped_acquire held;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

// Raises an Error as the Python class `type`.
static void translate(const std::exception_ptr& thrown, void* type) {
    try {
        std::rethrow_exception(thrown);
    } catch (const Error& error) {
        const nb::handle raised(static_cast<PyObject*>(type));
        PyErr_SetObject(raised.ptr(), raised(error.what(), int(error.exit)).ptr());
    }
}

}  // namespace fp::python

NB_MODULE(_core, m) {
    static nb::object error = nb::module_::import_("fairprune._error").attr("Error");
    nb::register_exception_translator(fp::python::translate, error.release().ptr());
    m.attr("version") = nb::str(fp::version().number.data(), fp::version().number.size());
    fp::python::add_model(m);
    fp::python::add_statistics(m);
}
