// The emulated machine against what GPUs gave (tests/kernels/recordings), and the recordings themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>

#include "kernels/machine/emulated/settings.h"
#include "tests/expect_error.h"
#include "tests/kernels/probe/recording.h"
#include "tests/source_dir.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using fp::testing::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Memory& memory() { return kernels(Backend::emulated).memory; }

const Recording& own_recording() {
    static const Recording own = [] {
        Recording r{.device = "the emulated machine", .commit = "none", .date = "today", .outputs = {}};
        for (const Probe& p : emulated::probes()) r.outputs[p.name] = p.run(memory());
        return r;
    }();
    return own;
}

std::vector<std::string> differences_of(const Recording& r) { return differences(emulated::probes(), r, memory()); }

TEST(Probes, TheEmulatedMachineGivesWhatGpusGave) {
    const auto folder = source_dir() / "tests/kernels/recordings";
    int files = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder))
        if (file.path().extension() == ".safetensors") {
            const Recording r = read_recording(file.path());
            EXPECT_FALSE(r.outputs.empty());
            EXPECT_THAT(differences_of(r), IsEmpty())
                << file.path().filename() << ", of " << r.device << ", " << r.date;
            for (const Probe& p : emulated::probes())  // those of a later date
                if (!r.outputs.contains(p.name))
                    std::cout << file.path().filename() << " has no " << p.name << std::endl;
            ++files;
        }
    EXPECT_GT(files, 0) << "no *.safetensors in " << folder;
}

TEST(Probes, AllHaveANameAndWriteAllTheirOutputs) {
    std::map<std::string, int> names;
    for (const Probe& p : emulated::probes()) {
        ++names[p.name];
        EXPECT_EQ(p.held == Held::bits, p.tolerance == 0) << p.name;
        const ProbeOutput& o = own_recording().outputs.at(p.name);
        EXPECT_FALSE(o.words.empty()) << p.name;
        if (!p.floats()) continue;
        for (size_t i = 0; i < o.words.size(); ++i)
            ASSERT_FALSE(std::isnan(std::bit_cast<float>(o.words[i]))) << p.name << ", " << o.place(i);
    }
    for (const auto& [name, count] : names) EXPECT_EQ(count, 1) << name;
}

TEST(Probes, AGpuHasTheSameList) {
    if (cuda::probes().empty()) GTEST_SKIP() << "this build has no CUDA kernels for GPUs";
    ASSERT_EQ(cuda::probes().size(), emulated::probes().size());
    for (size_t i = 0; i < cuda::probes().size(); ++i) EXPECT_EQ(cuda::probes()[i].name, emulated::probes()[i].name);
}

TEST(Probes, OutputsDoNotDependOnTheOrderOfThreads) {
    const emulated::Settings before = emulated::settings();
    for (const bool late : {true, false})
        for (const uint64_t seed : {0, 2}) {
            emulated::settings().late_copy = late;
            emulated::settings().seed = seed;
            for (const Probe& p : emulated::probes())
                EXPECT_EQ(p.run(memory()), own_recording().outputs.at(p.name)) << p.name;
        }
    emulated::settings() = before;
}

TEST(Probes, ARecordingComesBackFromItsFile) {
    const TemporaryFolder folder;
    const auto path = folder / "own.safetensors";
    write_recording(path, emulated::probes(), own_recording());
    EXPECT_LT(std::filesystem::file_size(path), size_t(700) << 10);
    const Recording back = read_recording(path);
    EXPECT_EQ(back, own_recording());
    EXPECT_THAT(differences_of(back), IsEmpty());
}

// One element of each probe, changed by the least that must be seen.
TEST(Probes, AChangedRecordingIsToldByProbeAndElement) {
    for (const Probe& p : emulated::probes()) {
        Recording r{.outputs = {{p.name, own_recording().outputs.at(p.name)}}};
        ProbeOutput& o = r.outputs.at(p.name);
        const size_t at = o.words.size() * 2 / 3;
        if (p.floats()) {
            double largest = 0;
            for (const uint32_t w : o.words) largest = std::max(largest, double(std::abs(std::bit_cast<float>(w))));
            const double value = std::bit_cast<float>(o.words[at]);
            const double size = p.held == Held::to_largest ? largest : std::abs(value);
            o.words[at] = std::bit_cast<uint32_t>(float(value + 2 * p.tolerance * size));
        } else {
            o.words[at] ^= 1;
        }
        const auto sentences = differences_of(r);
        ASSERT_EQ(sentences.size(), 1u) << p.name;
        EXPECT_THAT(sentences[0], HasSubstr(p.name + ": 1 of "));
        EXPECT_THAT(sentences[0], HasSubstr("first " + o.place(at) + ": "));
    }
}

TEST(Probes, ARecordingOfAnotherShapeOrOfAnUnknownProbeIsADifference) {
    Recording r{.outputs = {{"ex2", own_recording().outputs.at("ex2")}}};
    r.outputs["ex2"].words.pop_back();
    r.outputs["gone"] = {};
    const auto sentences = differences_of(r);
    ASSERT_EQ(sentences.size(), 2u);
    EXPECT_THAT(sentences[0], HasSubstr("of another shape"));
    EXPECT_THAT(sentences[1], HasSubstr("no such probe"));
}

TEST(Probes, ABrokenFileIsRefused) {
    const TemporaryFolder folder;
    const auto path = folder / "own.safetensors";
    write_recording(path, emulated::probes(), own_recording());
    const auto bytes = std::filesystem::file_size(path);
    {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(std::streamoff(bytes / 2));
        const char changed = char(file.get() ^ 1);  // perhaps within a tolerance, still not what was recorded
        file.seekp(std::streamoff(bytes / 2));
        file.put(changed);
    }
    testing::expect_error(
        Exit::model, [&] { read_recording(path); }, "damaged", "own.safetensors");
    std::filesystem::resize_file(path, bytes - 100);
    EXPECT_THROW(read_recording(path), Error);
}

}  // namespace
}  // namespace fp
