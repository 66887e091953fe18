// Every test of the engine on the emulated device has streams that do their work when something waits for it, so that a
// missing wait shows.
#include "kernels/machine/emulated/settings.h"

namespace fp {
namespace {

[[maybe_unused]] const bool deferred = emulated::settings().deferred = true;

}  // namespace
}  // namespace fp
