#include "engine/io/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <optional>
#include <set>

#include "engine/io/hash.h"
#include "engine/io/temporaries.h"
#include "tests/broken_disk.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using testing::BrokenDisk;
using testing::expect_error;
using testing::TemporaryFolder;

constexpr uint64_t kMuch = 1 << 20;

int count_files(const fs::path& folder) {
    return int(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Files, what_is_written_is_read) {
    const TemporaryFolder folder;
    std::string text(200'000, '?');
    for (size_t i = 0; i < text.size(); ++i) text[i] = char(i * i % 251);
    write_file(folder / "a", text);
    EXPECT_EQ(read_file(folder / "a", kMuch), text);
    const MappedFile mapped(folder / "a");
    EXPECT_TRUE(std::ranges::equal(mapped.bytes(), as_bytes(text)));

    write_file(folder / "a", "shorter");
    EXPECT_EQ(read_file(folder / "a", kMuch), "shorter");
    EXPECT_EQ(count_files(folder.path()), 1) << "a temporary file is left";
}

TEST(Files, empty_files_are_files) {
    const TemporaryFolder folder;
    write_file(folder / "a", "");
    EXPECT_EQ(read_file(folder / "a", 0), "");
    EXPECT_TRUE(MappedFile(folder / "a").bytes().empty());
    EXPECT_EQ(InputFile(folder / "a").bytes(), 0u);
}

TEST(Files, a_file_at_the_limit_is_read_and_one_above_it_is_not) {
    const TemporaryFolder folder;
    write_file(folder / "a", "12345");
    EXPECT_EQ(read_file(folder / "a", 5), "12345");
    expect_error(
        Exit::data, [&] { read_file(folder / "a", 4); }, (folder / "a").native(), "5 bytes", "4");
}

TEST(Files, a_pipe_is_read_to_its_end_and_to_the_limit) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    ASSERT_EQ(write(ends[1], "12345", 5), 5);
    close(ends[1]);
    const std::string path = "/proc/self/fd/" + std::to_string(ends[0]);
    EXPECT_EQ(read_file(path, 5), "12345");
    close(ends[0]);
}

TEST(Files, a_pipe_without_a_writer_is_empty_and_a_device_without_an_end_is_refused) {
    const TemporaryFolder folder;
    const auto pipe = folder / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(read_file(pipe, kMuch), "");
    expect_error(
        Exit::model, [&] { InputFile(pipe, Exit::model); }, "not a regular file");
    expect_error(
        Exit::data, [] { read_file("/dev/zero", uint64_t(1) << 40); }, "/dev/zero", "more than the 1073741824");
}

TEST(Files, nothing_is_renamed_over_a_pipe_or_a_device) {
    const TemporaryFolder folder;
    const auto pipe = folder / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
    require_creatable(pipe);
    write_file(pipe, "12345");
    char got[8];
    EXPECT_EQ(read(reader, got, sizeof got), 5);
    close(reader);
    EXPECT_TRUE(fs::is_fifo(pipe));
    EXPECT_EQ(count_files(folder.path()), 1);
}

TEST(Files, what_is_open_here_is_written_where_it_stands) {
    const TemporaryFolder folder;
    write_file(folder / "log", "before ");
    const int log = open((folder / "log").c_str(), O_WRONLY | O_APPEND);
    const std::string name = "/dev/fd/" + std::to_string(log);
    require_creatable(name);
    write_file(name, "now ");
    EXPECT_EQ(write(log, "after", 5), 5);
    close(log);
    EXPECT_EQ(read_file(folder / "log", kMuch), "before now after");
}

TEST(Files, what_cannot_be_created_is_found_before_it_is_written) {
    const TemporaryFolder folder;
    require_creatable(folder / "a");
    EXPECT_EQ(count_files(folder.path()), 0);
    write_file(folder / "a", "old");
    require_creatable(folder / "a");
    EXPECT_EQ(read_file(folder / "a", kMuch), "old");
    expect_error(
        Exit::model, [&] { require_creatable(folder / "none" / "a", Exit::model); }, "cannot be created: No such file");
    expect_error(
        Exit::data, [&] { require_creatable(folder.path()); }, "is a folder, not a file");
    EXPECT_EQ(count_files(folder.path()), 1);
}

TEST(Files, what_cannot_be_read_is_named) {
    const TemporaryFolder folder;
    const auto missing = folder / "missing";
    expect_error(
        Exit::model, [&] { read_file(missing, kMuch, Exit::model); }, missing.native(), "No such file");
    expect_error(
        Exit::data, [&] { read_file(folder.path(), kMuch); }, "is a folder");
    expect_error(
        Exit::data, [&] { InputFile{folder.path()}; }, "is a folder");
    expect_error(
        Exit::data, [&] { MappedFile{missing}; }, missing.native(), "No such file");
    expect_error(
        Exit::data, [&] { write_file(missing / "x", "text"); }, "No such file");
}

TEST(Files, a_file_that_shrinks_while_it_is_read_is_an_error) {
    const TemporaryFolder folder;
    write_file(folder / "a", "0123456789");
    const InputFile file(folder / "a");
    fs::resize_file(folder / "a", 4);
    Bytes part(8);
    expect_error(
        Exit::data, [&] { file.read(2, part); }, "ended at byte 4", "10");
}

TEST(Files, every_failure_of_the_disk_is_an_error_and_leaves_the_old_file) {
    const struct {
        const char* call;
        int error;
        const char* words;
    } failures[] = {{"write", ENOSPC, "No space left"},
                    {"write", EIO, "Input/output error"},
                    {"fsync", EIO, "Input/output error"},
                    {"close", EDQUOT, "quota"},
                    {"rename", EXDEV, "cross-device"}};
    for (const auto& failure : failures) {
        const TemporaryFolder folder;
        const auto path = folder / "model";
        write_file(path, "old");
        {
            const BrokenDisk broken(failure.call, failure.error);
            expect_error(
                Exit::model, [&] { write_file(path, "new", Exit::model); }, path.native());
        }
        EXPECT_EQ(read_file(path, kMuch), "old") << failure.call;
        EXPECT_EQ(count_files(folder.path()), 1) << failure.call << " leaves a temporary file";
    }
}

TEST(Files, a_folder_that_cannot_be_flushed_is_an_error) {
    const TemporaryFolder folder;
    const BrokenDisk broken("fsync", EIO, 1, folder.path().filename());
    expect_error(
        Exit::data, [&] { write_file(folder / "a", "text"); }, folder.path().native());
}

// What a process of another host, which sees the same folder, calls a temporary of `path`.
fs::path temporary_elsewhere(const fs::path& path) {
    std::string name = temporary_beside(path);
    name[name.size() - 18] ^= 1;  // the last character of the host's name
    return name;
}

TEST(Files, a_temporary_has_a_name_of_its_own) {
    std::set<std::string> names;
    for (int i = 0; i < 100; ++i) names.insert(temporary_beside("folder/a.json"));
    EXPECT_EQ(names.size(), 100u);
    EXPECT_THAT(*names.begin(), ::testing::MatchesRegex("folder/a[.]json[.]tmp[.][-_A-Za-z0-9]+[.][0-9a-f]+"));
}

// Two hosts write the same file at once: each its own part, of which the last to be put in place stays.
TEST(Files, two_writers_of_a_file_do_not_mix) {
    const TemporaryFolder folder;
    AtomicFile first(folder / "a"), second(folder / "a");
    first.write("first");
    second.write("second");
    first.commit();
    EXPECT_EQ(read_file(folder / "a", kMuch), "first");
    second.commit();
    EXPECT_EQ(read_file(folder / "a", kMuch), "second");
    EXPECT_EQ(count_files(folder.path()), 1);
}

TEST(Files, stale_temporaries_of_this_host_are_removed_and_nothing_else) {
    const TemporaryFolder folder;
    const fs::path stale[] = {temporary_beside(folder / "a"), temporary_beside(folder / "b.safetensors")};
    const std::string whole = temporary_beside(folder / "c");
    const std::string others[] = {
        temporary_elsewhere(folder / "a"),       whole + "0",          whole.substr(0, whole.size() - 1),
        whole.substr(0, whole.size() - 1) + "g", folder / "a.tmp.123", folder / "a.tmp"};
    for (const fs::path& path : stale) std::ofstream(path) << "part";
    for (const std::string& path : others) std::ofstream(path) << "part";
    EXPECT_EQ(remove_stale_temporaries(folder.path()), 2);
    EXPECT_EQ(count_files(folder.path()), 6);
    for (const std::string& path : others) EXPECT_TRUE(fs::exists(path)) << path;
}

// A host that has gone cannot remove its own, and one that is there writes to them.
TEST(Files, temporaries_of_other_hosts_are_removed_after_a_day) {
    const TemporaryFolder folder;
    const fs::path old = temporary_elsewhere(folder / "a"), young = temporary_elsewhere(folder / "b"),
                   of_none = folder / "c.tmp.a+host.0123456789abcdef", late = temporary_elsewhere(folder / "d");
    const auto now = fs::file_time_type::clock::now();
    for (const auto& [path, hours] : {std::pair(old, 25), {young, 23}, {of_none, 1000}, {late, -25}}) {
        std::ofstream(path) << "part";
        fs::last_write_time(path, now - std::chrono::hours(hours));
    }
    EXPECT_EQ(remove_stale_temporaries(folder.path(), Exit::data, "b"), 0);
    EXPECT_EQ(remove_stale_temporaries(folder.path()), 1);
    EXPECT_EQ(count_files(folder.path()), 3);
    EXPECT_FALSE(fs::exists(old));
}

// By a container of the same machine, whose locks are seen.
TEST(Files, an_old_temporary_that_is_held_stays) {
    const TemporaryFolder folder;
    const fs::path old = temporary_elsewhere(folder / "a");
    std::ofstream(old) << "part";
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(1000));
    {
        const Descriptor held(open(old.c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(flock(held.number(), LOCK_EX | LOCK_NB), 0);
        EXPECT_EQ(remove_stale_temporaries(folder.path()), 0);
    }
    EXPECT_EQ(remove_stale_temporaries(folder.path()), 1);
}

TEST(Files, only_temporaries_of_a_name_that_nobody_writes_are_removed) {
    const TemporaryFolder folder;
    const fs::path of_cache = temporary_beside(folder / "a.cache");
    for (const fs::path& path : {of_cache, temporary_beside(folder / "a")}) std::ofstream(path) << "part";
    const AtomicFile file(folder / "b.cache");
    EXPECT_EQ(remove_stale_temporaries(folder.path(), Exit::data, ".cache"), 1);
    EXPECT_EQ(count_files(folder.path()), 2);
    EXPECT_FALSE(fs::exists(of_cache));
}

TEST(Files, those_that_are_being_written_are_known_to_a_handler_of_signals) {
    const TemporaryFolder folder;
    {
        AtomicFile done(folder / "done");
        done.commit();
        const AtomicFile first(folder / "a"), second(folder / "b");
        std::optional<AtomicFile> gone(folder / "c");
        gone.reset();
        EXPECT_EQ(count_files(folder.path()), 3);
        remove_open_temporaries();
        EXPECT_EQ(count_files(folder.path()), 1);
    }
    std::ofstream(temporary_beside(folder / "a")) << "of nobody";
    remove_open_temporaries();
    EXPECT_EQ(count_files(folder.path()), 2);
}

TEST(Files, names_are_shown_without_control_characters) {
    EXPECT_EQ(printable("layer1.0é"), "layer1.0é");
    EXPECT_EQ(printable("a\u202eb\u2067\u2065"), "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa7\u2065");
    EXPECT_EQ(printable("a\x1b[31m\n"), "a\\x1b[31m\\x0a");
    EXPECT_EQ(printable("\xff\xc2\x9b"), "\\xff\\xc2\\x9b");
    EXPECT_EQ(printable(std::string(300, 'a'), 10), std::string(10, 'a') + "...");
}

TEST(Hash, parts_hash_like_the_whole) {
    std::string text(1000, '?');
    for (size_t i = 0; i < text.size(); ++i) text[i] = char(i * 37 % 256);
    for (const size_t part : {1, 7, 63, 64, 65, 999}) {
        Xxh3 xxh;
        for (size_t at = 0; at < text.size(); at += part) xxh.add(as_bytes(std::string_view(text).substr(at, part)));
        EXPECT_EQ(xxh.hex(), xxh3(as_bytes(text))) << part;
    }
}

// xxhash.xxh3_128_hexdigest of the Python package, XXH_VERSION 0.8.4.
TEST(Hash, xxh3_gives_the_tools_values) {
    EXPECT_EQ(xxh3({}), "99aa06d3014798d86001c324468d497f");
    EXPECT_EQ(xxh3(as_bytes("abc")), "06b05ab6733a618578af5f94892f3950");
}

}  // namespace
}  // namespace fp
