// The settings of the emulated machine for tests that are linked without it.
#include "kernels/machine/emulated/settings.h"

namespace fp::emulated {

Settings& settings() {
    static Settings none;
    return none;
}

}  // namespace fp::emulated
