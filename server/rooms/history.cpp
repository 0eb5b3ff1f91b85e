// SPDX-License-Identifier: MIT
// XEP-0045 §7.2.13, §7.2.14: discussion history.
#include "server/rooms/history.h"

#include <algorithm>
#include <charconv>

#include "xmpp/namespaces.h"
#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

namespace {

std::optional<std::size_t> number(std::string_view text) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional{value} : std::nullopt;
}

constexpr std::size_t most_bytes = 256 * 1024, largest = 64 * 1024;

// Characters, not bytes: what does not continue one in UTF-8.
std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

}  // namespace

HistoryRequest HistoryRequest::parse(const xmpp::Element& history, xmpp::Time now) {
    HistoryRequest request;
    if (!history) return request;
    request.characters = number(history.attr("maxchars"));
    request.messages = number(history.attr("maxstanzas"));
    request.since = xmpp::parse_date_time(history.attr("since"));
    constexpr std::size_t century = 3'155'760'000;
    if (const auto seconds = number(history.attr("seconds"))) {
        const xmpp::Time then = now - std::chrono::seconds{std::min(*seconds, century)};
        request.since = std::max(request.since.value_or(then), then);
    }
    return request;
}

std::string stamped(std::string_view message, xmpp::Time when, const std::string& room) {
    xmpp::XmlWriter delay;
    delay.open("delay", xmpp::ns::delay).attr("from", room).attr("stamp", xmpp::format_date_time(when));
    const std::string child = delay.take();
    xmpp::Stanza::Rewrite rewrite;
    rewrite.append = child;
    std::string xml;
    xmpp::parse_trusted(message).write(xml, rewrite);
    return xml;
}

void History::add(Said said, xmpp::Time when, std::size_t most) {
    if (said.xml.size() > largest) return;
    if (entries_.empty()) place_ = all_.by_use_.insert(all_.by_use_.end(), this);
    else all_.by_use_.splice(all_.by_use_.end(), all_.by_use_, place_);
    entries_.push_back({std::move(said), when, nullptr});
    bytes_ += entries_.back().said.xml.size();
    all_.bytes_ += entries_.back().bytes();
    trim(most);
    all_.make_room();
}

// Stamped ones are there twice more, as text and as a stanza.
std::size_t History::Entry::bytes() const { return sizeof *this + said.xml.size() + said.id.size() + said.author.size() + (stamped ? 2 * stamped->xml().size() : 0); }

History::~History() {
    while (!entries_.empty()) forget_oldest();
}

void History::forget(std::deque<Entry>::iterator entry) {
    bytes_ -= entry->said.xml.size();
    all_.bytes_ -= entry->bytes();
    entries_.erase(entry);
    if (entries_.empty()) all_.by_use_.erase(place_);
}

bool History::forget(std::string_view id, std::string_view author) {
    const auto found = std::ranges::find(entries_, id, [](const Entry& entry) -> std::string_view { return entry.said.id; });
    if (found == entries_.end() || (!author.empty() && found->said.author != author)) return false;
    forget(found);
    return true;
}

void Histories::make_room() {
    while (bytes_ > most_ && !by_use_.empty()) by_use_.front()->forget_oldest();
}

void History::trim(std::size_t most) {
    while (entries_.size() > most || bytes_ > most_bytes) forget_oldest();
}

std::vector<SharedCopies> History::read(const HistoryRequest& request, std::size_t most, const std::string& room) {
    std::vector<SharedCopies> newest_first;
    std::size_t room_left = request.characters.value_or(std::string::npos);
    const std::size_t count = std::min(most, request.messages.value_or(most));
    for (auto entry = entries_.rbegin(); entry != entries_.rend() && newest_first.size() < count; ++entry) {
        if (request.since && entry->when < *request.since) break;
        if (!entry->stamped) {
            entry->stamped = std::make_shared<const Copies>(stamped(entry->said.xml, entry->when, room));
            all_.bytes_ += 2 * entry->stamped->xml().size();
        }
        if (request.characters) {
            // The whole stanzas that fit; 'to' is not among what is counted.
            const std::size_t size = characters(entry->stamped->xml());
            if (size > room_left) break;
            room_left -= size;
        }
        newest_first.push_back(entry->stamped);
    }
    all_.make_room();
    return {newest_first.rbegin(), newest_first.rend()};
}

}  // namespace server::rooms
