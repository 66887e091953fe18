#include "tests/golden/golden.h"

#include <zlib.h>

#include "kernels/error.h"
#include "tests/source_dir.h"

namespace fp::testing {

std::string golden(const std::string& name) {
    const std::string path = (source_dir() / "tests" / "golden" / (name + ".gz")).string();
    const gzFile file = gzopen(path.c_str(), "rb");
    FP_CHECK(file != nullptr, path, ": cannot be opened");
    std::string text;
    char buffer[1 << 16];
    int bytes = 0;
    while ((bytes = gzread(file, buffer, sizeof buffer)) > 0) text.append(buffer, size_t(bytes));
    // A cut or damaged file shows here, in its length or its check sum.
    FP_CHECK(bytes == 0 && gzclose(file) == Z_OK, path, ": cannot be unpacked");
    return text;
}

}  // namespace fp::testing
