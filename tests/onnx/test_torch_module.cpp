#include "engine/run/torch_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/models.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;

const ModelCard kCard{.preprocessing = {.image_size = 48, .mean = {0.485f, 0, 0.5f}, .std = {1, 0.229f, 1}},
                      .classes = {"a \"quoted\" one", "back\\slash", "\n'''\"\"\""}};

std::string module_of(const ModelSpec& spec) {
    return torch_module(*models::build(spec, kernels(Backend::cpu)), kCard);
}

// That PyTorch builds and runs it, tests/end_to_end/torch checks where that is installed.
TEST(TorchModule, says_widths_classes_and_preprocessing) {
    const std::string text = module_of({.arch = "resnet18", .classes = 3, .widths = {{"layer4.1.conv1", 7}}});
    for (const char* part : {"resnet18 of 3 classes", ", pruned.", "ARCHITECTURE, STEM = \"resnet18\", \"imagenet\"",
                             "IMAGE_SIZE = 48", "MEAN, STD = [0.485, 0, 0.5], [1, 0.229, 1]", "\"layer4.1.conv1\": 7",
                             "\"layer1.0.conv1\": 64", "class BasicBlock", "def preprocess"})
        EXPECT_THAT(text, HasSubstr(part));
    EXPECT_THAT(text, Not(HasSubstr("\"fc\":")));
    for (const char* slot : {"{summary}", "{constants}", "{network}"}) EXPECT_THAT(text, Not(HasSubstr(slot)));
    EXPECT_THAT(module_of({.arch = "vgg11_bn", .classes = 3, .width = 0.125}), Not(HasSubstr("pruned.")));
}

TEST(TorchModule, is_python) {
    for (const char* arch : {"resnet50", "vgg11_bn"}) {
        const TemporaryFolder folder;
        const TorchFolder written = write_torch_folder(
            folder / "new/export", *models::build({.arch = arch, .classes = 3, .width = 0.0625}, kernels(Backend::cpu)),
            kCard);
        const std::string program =
            "import ast, sys; names = {n.targets[0].id: n.value for n in ast.parse(open(sys.argv[1]).read()).body "
            "if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)}; "
            "assert ast.literal_eval(names[\"CLASSES\"])[2] == chr(10) + chr(39) * 3 + chr(34) * 3";
        EXPECT_EQ(std::system(("python3 -c '" + program + "' " + written.module.string()).c_str()), 0) << arch;
        EXPECT_EQ(read_checkpoint(written.weights, models::all(), kernels(Backend::cpu)).card.classes, kCard.classes);
    }
}

}  // namespace
}  // namespace fp
