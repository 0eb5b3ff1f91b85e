// SPDX-License-Identifier: MIT
// XEP-0198: Stream Management 1.6.3 — acknowledgements both ways, and resumption of a session whose connection broke.
// With messages.ack = "commit" a stanza counts as handled only when all that it caused to be stored is committed.
// What a lost session left unacked goes back to the care of its account's log. 'location' is not used.
#include <charconv>
#include <deque>
#include <unordered_map>

#include "auth/crypto.h"
#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/log.h"
#include "server/login_request.h"
#include "server/message_content.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view sm = "urn:xmpp:sm:3";
constexpr std::chrono::seconds longest_resumption{600};
constexpr std::chrono::seconds least_after_restart{10};  // clients could not come back while there was no server
constexpr std::chrono::seconds ack_patience{1};     // an asked-for ack waits so long for what is being stored
constexpr std::size_t most_unacked = 20000;         // stanzas in one queue
constexpr std::size_t most_unacked_bytes = 64U << 20;   // of them, beside one that is as large as it likes
constexpr std::size_t ask_after = 5;                // unacked stanzas without a request for an ack

bool is_true(std::string_view value) { return value == "true" || value == "1"; }

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    return !text.empty() && problem == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

std::string failed(xmpp::Condition condition, std::optional<std::uint32_t> handled = std::nullopt) {
    xmpp::XmlWriter w;
    w.open("failed", sm);
    if (handled) w.attr("h", *handled);
    w.leaf_ns(xmpp::to_string(condition), xmpp::ns::stanzas);
    return w.take();
}

// Whose sender waits for something: a request, or words that are kept nowhere. Copies of one's own are none.
bool is_missed(const xmpp::Stanza& stanza, const Session& session) {
    if (stanza.kind() == xmpp::Kind::iq) return true;
    if (stanza.kind() != xmpp::Kind::message || stanza.is_error() || stanza.type() == "headline" || stanza.type() == "groupchat") return false;
    return has_content(stanza) && stanza.from().bare() != session.account().jid().view();
}

// §5: "the server MAY also include … the value of 'h'" for a session that has timed out: its client need not send again what was
// taken in. The newest of them are remembered.
class Expired {
public:
    void add(const std::string& id, const Session& session, std::uint32_t handled) {
        if (sessions_.insert_or_assign(id, Known{session.account().jid(), session.device(), handled}).second) oldest_first_.push_back(id);
        if (oldest_first_.size() <= most) return;
        sessions_.erase(oldest_first_.front());
        oldest_first_.pop_front();
    }
    std::optional<std::uint32_t> handled(std::string_view id, const xmpp::Jid& account, const xmpp::SharedText& device) const {
        const auto found = sessions_.find(std::string{id});
        const bool is_own = found != sessions_.end() && found->second.account == account && found->second.device == device;
        return is_own ? std::optional{found->second.handled} : std::nullopt;
    }

private:
    static constexpr std::size_t most = 10'000;
    struct Known {
        xmpp::Jid account;
        xmpp::SharedText device;
        std::uint32_t handled;
    };
    std::unordered_map<std::string, Known> sessions_;
    std::deque<std::string> oldest_first_;
};

}  // namespace

class StreamManagement final : public Module {
public:
    explicit StreamManagement(Host& host) : worker_{host.worker}, states_{host} {
        host.at<&StreamManagement::offer>(host.features, this);
        host.bind_features.push_back(sm);
        host.at<&StreamManagement::offer_resumption>(host.inline_features, this);
        host.at<&StreamManagement::resume_at_login>(host.inline_requests, this);
        host.at<&StreamManagement::enable_at_binding>(host.binding, this);
        host.nonzas.add<&StreamManagement::enable>(sm, "enable", this);
        host.nonzas.add<&StreamManagement::resume>(sm, "resume", this);
        host.nonzas.add<&StreamManagement::on_request>(sm, "r", this);
        host.nonzas.add<&StreamManagement::on_ack>(sm, "a", this);
        host.receipt.provide<&StreamManagement::receipt>(this);
        host.at<&StreamManagement::leaving>(host.leaving, this);
        host.at<&StreamManagement::lost>(host.lost, this);
        host.at<&StreamManagement::ended>(host.ended, this);
        host.at<&StreamManagement::store>(host.storing, this);
        host.at<&StreamManagement::restore>(host.restored, this);
    }

private:
    struct Unacked { xmpp::Wire wire; LogPlace logged_as; };

    // One session's counters (§4) and what its client has not acked yet. Lives on when the stream is gone.
    struct State final : net::EndOfTurn {
        ~State() override { if (session) session->worker().loop.forget(*this); }
        void on_end_of_turn() override {
            if (Stream* const stream = session->stream(); stream && std::exchange(ask_now, false)) {
                asked = true;
                stream->send_xml("<r xmlns='urn:xmpp:sm:3'/>");
            }
        }
        std::uint32_t handled() const { return settled; }

        Session* session = nullptr;
        std::string id;                     // for resumption; empty: not allowed
        std::chrono::seconds max{};
        std::uint32_t taken = 0;            // stanzas that came in
        std::uint32_t settled = 0;          // of these, from the first on, all that they caused is stored: h
        std::deque<bool> settling;          // stanzas settled + 1 … taken
        std::uint32_t sent = 0, acked = 0;
        std::deque<Unacked> unacked;
        std::size_t unacked_bytes = 0;
        bool asked = false;                 // an <r/> is on its way
        bool ask_now = false;
        bool ack_wanted = false;            // the client's <r/> waits for what is being stored
        std::vector<std::coroutine_handle<>> when_settled;   // resumptions wait for what is being stored
        net::Timer patience;
        net::Timer expiry;
        storage::Time expires{};            // while no stream has the session
    };

    void offer(Stream& stream, xmpp::XmlWriter& features) {
        if (stream.is_for_sessions() && !state_of(stream)) features.leaf_ns("sm", sm);
    }

    State* state_of(Stream& stream) { return stream.session() ? states_[*stream.session()].get() : nullptr; }

    // Awaits that all that the session's client has sent is stored.
    struct Settled {
        State& state;
        bool await_ready() const { return state.settled == state.taken; }
        void await_suspend(std::coroutine_handle<> resumption) const { state.when_settled.push_back(resumption); }
        void await_resume() const {}
    };

    void offer_resumption(Stream&, xmpp::XmlWriter& features) { features.leaf_ns("sm", sm); }
    void enable(Stream& stream, const xmpp::Stanza& element);
    void enable_at_binding(Binding& binding);
    std::string begin(Session& session, const xmpp::Element& asked);
    void resume(Stream& stream, const xmpp::Stanza& element);
    storage::Task<void> resume_alone(std::shared_ptr<Stream> stream, xmpp::Stanza element);
    storage::Task<void> resume_at_login(LoginRequest& login);
    storage::Task<std::string> take_over(std::shared_ptr<Stream> stream, xmpp::Element asked);
    void go_on(Stream& stream, std::uint32_t handled_by_client);
    void on_request(Stream& stream, const xmpp::Stanza& element);
    void on_ack(Stream& stream, const xmpp::Stanza& element);
    bool acknowledge(State& state, Stream& stream, std::uint32_t h);
    void answer(State& state);
    std::shared_ptr<Receipt> receipt(Session& session);
    void settle(State& state, std::uint32_t number);
    Verdict leaving(Leaving& leaving);
    bool lost(Session& session);
    void expire_after(State& state, net::Duration time);
    void store(Session& session, SessionState& stored);
    void restore(Session& session, const SessionState& stored);
    void ended(Session& session);

    Worker& worker_;
    SessionSlot<std::unique_ptr<State>> states_;
    std::unordered_map<std::string, std::weak_ptr<Session>> resumable_;   // by SM-ID
    Expired expired_;
};

// ---- enabling: §3 ------------------------------------------------------------------------------------------------------

void StreamManagement::enable(Stream& stream, const xmpp::Stanza& element) {
    // §3: not before a resource is bound, and once a session.
    if (!stream.session() || states_[*stream.session()]) return stream.send_xml(failed(xmpp::Condition::unexpected_request));
    stream.send_xml(begin(*stream.session(), element.element()));
}

// XEP-0386 §3.2.1
void StreamManagement::enable_at_binding(Binding& binding) {
    if (const xmpp::Element asked = binding.bind.child("enable", sm)) binding.answers += begin(binding.session, asked);
}

std::string StreamManagement::begin(Session& session, const xmpp::Element& asked) {
    auto& state = states_[session];
    state = std::make_unique<State>();
    state->session = &session;
    xmpp::XmlWriter w;
    w.open("enabled", sm);
    if (is_true(asked.attr("resume"))) {
        const auto wanted = number(asked.attr("max"));
        state->max = wanted ? std::min(longest_resumption, std::chrono::seconds{*wanted}) : longest_resumption;
        state->id = auth::random_token();
        resumable_[state->id] = session.weak_from_this();
        w.attr("id", state->id).attr("resume", "true").attr("max", static_cast<std::uint64_t>(state->max.count()));
    }
    return w.take();
}

// ---- stanzas from the client: §4 ------------------------------------------------------------------------------------------

std::shared_ptr<Receipt> StreamManagement::receipt(Session& session) {
    State* const state = states_[session].get();
    if (!state) return nullptr;
    const std::uint32_t number = ++state->taken;
    state->settling.push_back(false);
    if (worker_.config->messages.ack != "commit") {
        settle(*state, number);
        return nullptr;
    }
    return std::make_shared<Receipt>([this, &worker = worker_, here = session.weak_from_this(), number](bool travelled) {
        const auto settled = [this, here, number] {
            if (const auto alive = here.lock()) settle(*states_[*alive], number);
        };
        // A refusal by another worker may wait in the mailbox: the ack must not overtake it.
        if (!travelled && worker.loop.is_here()) settled();
        else worker.loop.post(settled);
    });
}

void StreamManagement::settle(State& state, std::uint32_t number) {
    state.settling[number - state.settled - 1] = true;
    while (!state.settling.empty() && state.settling.front()) {
        state.settling.pop_front();
        ++state.settled;
    }
    if (state.settled != state.taken) return;
    if (state.ack_wanted) answer(state);
    for (const auto resumption : std::exchange(state.when_settled, {})) worker_.loop.post([resumption] { resumption.resume(); });
}

// §4: answered at once, or when what came before it is stored; never later than patience allows.
void StreamManagement::on_request(Stream& stream, const xmpp::Stanza&) {
    State* const state = state_of(stream);
    if (!state) return stream.close({xmpp::StreamCondition::unsupported_stanza_type});
    if (state->settled == state->taken) return answer(*state);
    state->ack_wanted = true;
    if (!state->patience.is_running()) state->patience.start(worker_.loop, ack_patience, [this, state] { answer(*state); });
}

void StreamManagement::answer(State& state) {
    // What is still being stored is acked when it is, without being asked for again.
    state.ack_wanted = state.settled != state.taken;
    state.patience.cancel();
    if (Stream* const stream = state.session->stream())
        stream->send_xml("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(state.handled()) + "'/>");
}

// ---- stanzas to the client: §4 --------------------------------------------------------------------------------------------

Verdict StreamManagement::leaving(Leaving& leaving) {
    State* const state = states_[leaving.session].get();
    if (!state) return Verdict::pass();
    if (state->unacked.size() >= most_unacked || state->unacked_bytes >= most_unacked_bytes) {
        // Its client acks nothing. What is logged waits for another session of the device.
        const auto session = leaving.session.shared_from_this();
        worker_.loop.post([session] {
            session->end({xmpp::StreamCondition::resource_constraint, "Too many stanzas without an acknowledgement."});
        });
        return Verdict::drop();
    }
    state->unacked.push_back({leaving.wire, leaving.logged_as});
    state->unacked_bytes += leaving.wire.size();
    ++state->sent;
    leaving.acknowledged_later = true;
    // One request is out at a time: the next leaves with the stanzas that follow its answer.
    if (!state->asked && (leaving.logged_as || state->unacked.size() >= ask_after)) {
        state->ask_now = true;
        worker_.loop.at_end_of_turn(*state);
    }
    return Verdict::pass();
}

void StreamManagement::on_ack(Stream& stream, const xmpp::Stanza& element) {
    State* const state = state_of(stream);
    const auto h = number(element.element().attr("h"));
    if (!state || !h) return stream.close({xmpp::StreamCondition::unsupported_stanza_type});
    state->asked = false;
    if (!acknowledge(*state, stream, *h)) return;
    if (!state->unacked.empty()) {
        state->ask_now = true;
        worker_.loop.at_end_of_turn(*state);
    }
}

// False: the client claims more than it was sent, and its stream has been ended (§7).
bool StreamManagement::acknowledge(State& state, Stream& stream, std::uint32_t h) {
    const std::uint32_t newly = h - state.acked;                 // modulo 2^32
    if (newly > state.sent - state.acked) {
        xmpp::StreamError error{xmpp::StreamCondition::undefined_condition};
        xmpp::XmlWriter w;
        w.open("handled-count-too-high", sm).attr("h", h).attr("send-count", state.sent);
        error.payload = w.take();
        stream.close(std::move(error));
        return false;
    }
    const auto account = state.session->shared_account();
    for (std::uint32_t i = 0; i < newly; ++i) {
        if (const LogPlace place = state.unacked.front().logged_as) account->log.delivered(*state.session, place);
        state.unacked_bytes -= state.unacked.front().wire.size();
        state.unacked.pop_front();
    }
    state.acked = h;
    return true;
}

// ---- resumption: §5 --------------------------------------------------------------------------------------------------------

bool StreamManagement::lost(Session& session) {
    State* const state = states_[session].get();
    if (!state || state->id.empty()) return false;
    state->asked = state->ask_now = false;
    expire_after(*state, state->max);
    return true;
}

void StreamManagement::expire_after(State& state, net::Duration time) {
    state.expires = worker_.now() + std::chrono::duration_cast<storage::Time::duration>(time);
    state.expiry.start(worker_.loop, time, [held = state.session->weak_from_this()] {
        if (const auto session = held.lock()) session->finish();
    });
}

// ---- the next process goes on with it --------------------------------------------------------------------------------------

// The server has waited for what was being stored. Is something not stored even so, the client sends it again.
void StreamManagement::store(Session& session, SessionState& stored) {
    const State* const state = states_[session].get();
    if (!state) return;
    auto& texts = stored[sm];
    texts = {state->id, std::to_string(state->max.count()), std::to_string(state->settled), std::to_string(state->acked),
             std::to_string(state->expires.time_since_epoch().count())};
    for (const Unacked& unacked : state->unacked) {
        texts.push_back(std::to_string(unacked.logged_as.entry));
        texts.emplace_back(unacked.logged_as.in_turn ? "in turn" : "");
        texts.emplace_back(unacked.wire.bytes());
    }
}

void StreamManagement::restore(Session& session, const SessionState& stored) {
    const SessionState::Texts* const texts = stored.find(sm);
    if (!texts || texts->size() < 5) return;
    auto& state = states_[session];
    state = std::make_unique<State>();
    state->session = &session;
    state->id = (*texts)[0];
    state->max = std::chrono::seconds{number_of<std::int64_t>((*texts)[1])};
    state->taken = state->settled = number_of<std::uint32_t>((*texts)[2]);
    state->sent = state->acked = number_of<std::uint32_t>((*texts)[3]);
    for (std::size_t i = 5; i + 2 < texts->size(); i += 3) {
        const LogPlace place{number_of<storage::LogId>((*texts)[i]), !(*texts)[i + 1].empty()};
        state->unacked.push_back({xmpp::Wire{(*texts)[i + 2]}, place});
        state->unacked_bytes += state->unacked.back().wire.size();
        ++state->sent;
        if (place) session.sent_before(place);
    }
    resumable_[state->id] = session.weak_from_this();
    const storage::Time expires{std::chrono::microseconds{number_of<std::int64_t>((*texts)[4])}};
    expire_after(*state, std::max<net::Duration>(expires - worker_.now(), least_after_restart));
}

void StreamManagement::resume(Stream& stream, const xmpp::Stanza& element) {
    if (stream.session()) return stream.send_xml(failed(xmpp::Condition::unexpected_request));
    worker_.spawn("resuming a session", resume_alone(stream.shared_from_this(), element));
}

storage::Task<void> StreamManagement::resume_alone(std::shared_ptr<Stream> stream, xmpp::Stanza element) {
    stream->hold();
    auto taking_over = take_over(stream, element.element());
    const std::string answer = co_await taking_over;
    if (stream->phase() == Stream::Phase::closing) co_return;
    stream->send_xml(answer);
    if (stream->session()) go_on(*stream, *number(element.element().attr("h")));
    stream->go_on();
}

// XEP-0388, and XEP-0386 §3.2: before a resource is bound, which is not when this succeeds.
storage::Task<void> StreamManagement::resume_at_login(LoginRequest& login) {
    const xmpp::Element asked = login.authenticate.child("resume", sm);
    if (!asked) co_return;
    auto taking_over = take_over(login.stream.shared_from_this(), asked);
    login.answers += co_await taking_over;
    if (login.stream.phase() != Stream::Phase::session) co_return;
    login.is_resumed = true;
    login.afterwards.emplace_back([this, &stream = login.stream, h = *number(asked.attr("h"))] { go_on(stream, h); });
}

// The stream has the session afterwards, or the answer says why not. Nothing was sent.
storage::Task<std::string> StreamManagement::take_over(std::shared_ptr<Stream> stream, xmpp::Element asked) {
    if (!number(asked.attr("h"))) co_return failed(xmpp::Condition::bad_request);
    const auto found = resumable_.find(std::string{asked.attr("previd")});
    const std::shared_ptr<Session> session = found == resumable_.end() ? nullptr : found->second.lock();
    // Somebody else's id is as unknown as one that never was.
    if (!session || session->account().jid() != stream->authenticated_as() || session->device() != stream->device())
        co_return failed(xmpp::Condition::item_not_found, expired_.handled(asked.attr("previd"), stream->authenticated_as(), stream->device()));

    // What is being stored was taken in: to answer with less would have the client send it again.
    State* const state = states_[*session].get();
    while (state->settled != state->taken) {   // more may come in on the old stream
        const Settled settled{*state};
        co_await settled;
        if (stream->phase() != Stream::Phase::bind) co_return std::string{};
        if (!resumable_.contains(state->id)) co_return failed(xmpp::Condition::item_not_found, state->handled());   // its time ran out meanwhile
    }
    if (Stream* const old = session->stream()) {  // its connection is dead and does not know it yet
        old->let_go_of_session();
        old->close({xmpp::StreamCondition::conflict, "The session was resumed on another stream."});
    }
    state->expiry.cancel();
    stream->take_session(session);
    xmpp::XmlWriter w;
    w.open("resumed", sm).attr("previd", state->id).attr("h", state->handled());
    co_return w.take();
}

// <resumed/> is on its way: what the client has not got follows it.
void StreamManagement::go_on(Stream& stream, std::uint32_t handled_by_client) {
    const std::shared_ptr<Session> session = stream.session()->shared_from_this();
    State& state = *states_[*session];
    if (!acknowledge(state, stream, handled_by_client)) return;
    stream.transport().allow_unsent(state.unacked_bytes);
    for (const Unacked& stanza : state.unacked) stream.send(stanza.wire);
    state.asked = false;
    state.ack_wanted = state.settled != state.taken;
    if (!state.unacked.empty()) {
        state.ask_now = true;
        worker_.loop.at_end_of_turn(state);
    }
    ++worker_.counters.resumptions;
    worker_.host.resumed.tell(*session);
    session->account().mark_seen(session->device());
    log::info("session resumed", {{"jid", session->jid().text()}, {"stream", stream.id()}});
    if (session->takes_messages()) session->account().log.catch_up(*session);
}

// §4: what is logged and was not acked is still behind the device's cursor; of what is not, its sender is told that it did not
// arrive, unless the client took its leave: it may well have acted on what it did not acknowledge.
void StreamManagement::ended(Session& session) {
    State* const state = states_[session].get();
    if (!state) return;
    if (resumable_.erase(state->id) > 0 && !session.has_left()) expired_.add(state->id, session, state->handled());
    for (const auto resumption : std::exchange(state->when_settled, {})) worker_.loop.post([resumption] { resumption.resume(); });
    const auto unacked = std::exchange(state->unacked, {});   // to be told may be to be sent something more
    for (const Unacked& each : unacked) {
        if (each.logged_as || session.has_left()) continue;
        const xmpp::Stanza stanza = xmpp::parse_or_empty(each.wire.bytes());
        if (stanza && is_missed(stanza, session)) worker_.router.bounce(stanza, session.jid(), xmpp::Condition::recipient_unavailable);
    }
    state->unacked.clear();
    state->unacked_bytes = 0;
}

MODULE_FACTORY(stream_management, StreamManagement)

}  // namespace server
