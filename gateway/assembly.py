"""How the parts of a gateway are put together from its settings; `app` starts and stops them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway import clock
from gateway.backchannel_settings import BackChannel as BackChannelSettings
from gateway.core.ending import Ending
from gateway.core.policy.matching import PolicySet
from gateway.core.records import Session
from gateway.core.security_event import Trust
from gateway.core.telling import Channel
from gateway.identity.assertions import Assertions
from gateway.identity.fetched_keys import FetchedKeys
from gateway.identity.jwks import FileKeys
from gateway.identity.password_change import PasswordChanges
from gateway.identity.passwords import Passwords
from gateway.identity.recovery import Recovery
from gateway.identity.resets import ResetCases, ResetRules
from gateway.identity.second_factor import SecondFactor
from gateway.identity.sign_in import SignInLimits, SignIns
from gateway.identity.step_up import StepUps
from gateway.identity.transmitters import Transmitter, Transmitters
from gateway.notices.events import authorization_of
from gateway.portal.activity import ActivityPage
from gateway.portal.api import Api
from gateway.portal.backchannel import BackChannel
from gateway.portal.desk import Desk
from gateway.portal.devices import Devices
from gateway.portal.forms import Forms
from gateway.portal.moving import Moving
from gateway.portal.pages import PAGE_HEADERS, Pages
from gateway.portal.profile import Profile
from gateway.portal.recovery import Recovery as RecoveryTopic
from gateway.portal.resets import ResetPages
from gateway.portal.site import Site, Topic
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts
from gateway.portal.unlocking import Unlocking
from gateway.portal.waiting import Waiting
from gateway.proxy.answers import Answers
from gateway.proxy.challenger import Challenger
from gateway.proxy.delivery import Delivery
from gateway.proxy.identity_headers import IdentityHeaders
from gateway.proxy.live import ENDED, LiveConnections
from gateway.proxy.passage import Memory
from gateway.proxy.pipeline import Pipeline
from gateway.proxy.short_cut import ShortCut
from gateway.proxy.upstream import UpstreamLimits
from gateway.proxy.verdict import Verdicts
from gateway.settings import Settings
from gateway.store.attempts import AttemptLimit, GrowingDelay
from gateway.store.keyring import Seals
from gateway.store.node import Node
from gateway.store.opening import Store
from gateway.web.connection import ListenerLimits
from gateway.web.cookies import CookieJar
from gateway.web.metrics import Metrics
from gateway.web.reading import Reader

_DAY = 86400.0

_log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Basis:
    """What almost every part is built on."""

    settings: Settings
    store: Store
    ring: Seals
    metrics: Metrics
    texts: Texts
    resets: ResetCases
    live: LiveConnections
    transmitters: Transmitters


class NodeSurroundings:
    """What hears of revocations besides the near cache: live connections, and who watches."""

    def __init__(self, live: LiveConnections, metrics: Metrics) -> None:
        self._live = live
        self._metrics = metrics

    def ended(self, ending: Ending) -> None:
        self._live.cut(ending)

    def sessions(self) -> Sequence[Session]:
        return self._live.sessions()

    def cut(self, session_id: str) -> None:
        self._live.cut_session(session_id, ENDED)

    def leases(self, held: int, of: int) -> None:
        self._metrics.leases(held, of)
        self._metrics.refresh()
        if held < of:
            self._live.look_through()

    def alarm(self, what: str) -> None:
        self._metrics.store_alarm()
        _log.error("the store cannot be believed", what=what)


def live_by(live: LiveConnections, node: Node) -> None:
    """Let what is live go on only for as long as the node can tell that its session lives."""
    live.fence = node.lets_pass
    live.moment = clock.boottime
    live.fresh_for = node.options.lease + node.options.grace


def reset_cases(settings: Settings, store: Store) -> ResetCases:
    """The cases of resets, by the rules of the settings."""
    rules = settings.resets
    return ResetCases(store, ResetRules(rules.evidence, rules.waiting, rules.abandon_after, rules.keep))


def transmitters_of(settings: BackChannelSettings, store: Store) -> Transmitters:
    """The other parties whose tokens count. Raises OSError, ValueError for what files of keys hold."""
    trusted = {}
    for one in settings.transmitters:
        trust = Trust(
            issuer=one.issuer,
            audience=one.audience,
            subject=one.subject,
            logout_age=settings.logout_age,
            event_age=settings.event_age,
        )
        file, url = one.keys, one.jwks_url or ""
        keys = FileKeys(file, one.algorithms) if file else FetchedKeys(url, one.algorithms)
        trusted[one.issuer] = Transmitter(trust, keys)
    return Transmitters(store, trusted)


def backchannel_faults(settings: BackChannelSettings) -> Iterator[str]:
    """What is wrong with the files that the back-channel's settings name."""
    for number, transmitter in enumerate(settings.transmitters):
        try:
            if transmitter.keys:
                FileKeys(transmitter.keys, transmitter.algorithms)
        except (OSError, ValueError) as error:
            key = f"back-channel.transmitters.{number}.keys"
            yield f"{key}: those of {transmitter.issuer} cannot be used: {error}"
    for number, receiver in enumerate(settings.receivers):
        try:
            authorization_of(receiver)
        except (OSError, ValueError) as error:
            key = f"back-channel.receivers.{number}.authorization-file"
            yield f"{key}: that of {receiver.name} cannot be used: {error}"


def make_pipeline(basis: Basis, policies: PolicySet, passwords: Passwords, delivery: Delivery) -> Pipeline:
    """The way of a request, with everything that it needs, and the account holder's pages."""
    settings, store = basis.settings, basis.store
    jar = CookieJar(secure=settings.public_scheme == "https")
    second_factor, recovery = _codes(basis, passwords)
    step_ups = StepUps(store, basis.ring, second_factor, recovery, settings.challenges.lifetime)
    static = StaticFiles.load()
    pages = Pages(static, basis.texts)
    answers = Answers(pages.refused, PAGE_HEADERS)
    # Asked each time: a reload gives the pipeline other policies.
    desk = Desk(
        store,
        SignIns(store, passwords, sign_in_limits(settings), basis.metrics.sign_in),
        second_factor,
        recovery,
        step_ups,
        jar,
        basis.metrics,
        PasswordChanges(store, passwords, sign_in_limits(settings).by_account),
        policies=lambda: pipeline.policies,
    )
    pipeline = Pipeline(
        policies=policies,
        reader=Reader(settings.public_scheme, settings.trusted_proxies, jar, settings.forward_auth),
        sessions=store.sessions,
        who=store.who,
        step_ups=step_ups,
        challenger=Challenger(
            step_ups, answers, jar, settings.challenges.parked_body, settings.sessions.absolute
        ),
        answers=answers,
        own_pages=Site(Forms(desk, pages, static), Api(desk), _topics(basis, desk, pages)),
        to_app=delivery,
        verdicts=Verdicts(delivery.identities),
        metrics=basis.metrics,
        live=basis.live,
        memory=Memory(store.who, basis.live),
    )
    return pipeline


def short_cut(settings: Settings, pipeline: Pipeline, delivery: Delivery) -> ShortCut:
    """The same for requests that ask for nothing but an app's answer, and may have it."""
    return ShortCut(pipeline, delivery, listener_limits(settings))


def _codes(basis: Basis, passwords: Passwords) -> tuple[SecondFactor, Recovery]:
    """What takes codes, and what takes recovery codes."""
    settings, metrics, delay = basis.settings, basis.metrics, code_delay(basis.settings)
    confirms_devices = settings.devices.later.code_serves
    second_factor = SecondFactor(
        basis.store,
        basis.ring,
        delay,
        settings.issuer,
        metrics.code,
        confirms_devices=confirms_devices,
    )
    recovery = Recovery(
        basis.store,
        passwords,
        # Too long to be guessed: slowed down, but never locked, since it is the way out of the lock.
        replace(delay, lock=None),
        settings.recovery.waiting,
        metrics.code,
        confirms_devices=confirms_devices,
    )
    return second_factor, recovery


def _topics(basis: Basis, desk: Desk, pages: Pages) -> tuple[Topic, ...]:
    return (
        Profile(desk, pages, basis.settings.profile.email, Channel.MAIL in basis.settings.notices.channels),
        ActivityPage(desk, pages),
        RecoveryTopic(desk, pages),
        Unlocking(desk, pages),
        Moving(desk, pages),
        Devices(desk, pages),
        Waiting(desk, pages, basis.live),
        ResetPages(desk, basis.resets, pages, basis.ring),
        BackChannel(
            basis.transmitters,
            basis.store.attempts,
            basis.metrics,
            basis.ring,
        ),
    )


def code_delay(settings: Settings) -> GrowingDelay:
    codes = settings.codes
    return GrowingDelay(codes.attempts, codes.delay, codes.longest_delay, lock=codes.lock)


def sign_in_limits(settings: Settings) -> SignInLimits:
    limits = settings.sign_in
    return SignInLimits(
        # Strangers type names that no account has: what they leave behind is forgotten again.
        by_account=GrowingDelay(
            limits.attempts_by_account, limits.delay, limits.longest_delay, forget_after=_DAY
        ),
        by_address=AttemptLimit(limits.attempts_by_address, limits.per),
        later_devices=settings.devices.later,
    )


def listener_limits(settings: Settings) -> ListenerLimits:
    limits = settings.limits
    return ListenerLimits(
        connections=limits.connections,
        line_bytes=min(limits.header_size, 8190),
        head_bytes=limits.header_size,
        headers=limits.header_count,
        head_seconds=limits.header_deadline,
        body_seconds=limits.body_deadline,
        idle_seconds=limits.keep_alive,
    )


def identity_headers(settings: Settings, ring: Seals) -> IdentityHeaders:
    return IdentityHeaders(Assertions(ring), settings.assertion.lifetime, settings.sessions.cached)


def upstream_limits(settings: Settings) -> UpstreamLimits:
    limits = settings.upstream
    return UpstreamLimits(
        connections=limits.connections,
        connect=limits.connect,
        first_byte=limits.first_byte,
        idle=limits.idle,
        retry_after_failure=limits.retry_after_failure,
    )
