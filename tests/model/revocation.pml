/* The revocation protocol, small enough to be explored completely. tests/model/test_revocation.py runs it
 * with Spin; docs/reliability.md says in plain words what it shows.
 *
 * The property: NO REQUEST THAT BEGAN AFTER A REVOCATION WAS ANSWERED `confirmed` IS ACCEPTED.
 * It is the assertion in accept().
 *
 * What there is: a primary and K replicas, of which N must acknowledge a write; one node with its lease,
 * its follower of the feed and its requests; one revoker; other people's revocations, which move the feed.
 * One node is enough: nodes share nothing but the store, and the property speaks of each node alone.
 *
 * What may happen, at any moment, in any order:
 *   - Any step may be late, or never come: a paused process, a lost packet and a partition are all "the
 *     next step is not taken" while the clock ticks. So the old primary and the node are isolated together
 *     whenever the node picks that server and no replica copies from it.
 *   - Each connection of the node (renewal, feed, acknowledgement, reads) ends at a server of its own
 *     choice. Reads and the feed may even come from a replica; only writes need a server that still thinks
 *     that it is the primary.
 *   - A replica copies its primary at any time or never. Failover happens at any time, FAILOVERS times;
 *     the old primary does not notice until it is told, and until then takes writes.
 *
 * What is assumed (the protocol promises nothing without it):
 *   1. An acknowledged write stays: a server never comes back with older data, and a replica is promoted
 *      only among at least K-N+1 that are up to date with their link, the most advanced of them.
 *   2. Promotion is a fence: those replicas stop acknowledging the old primary in the same moment. Sentinel
 *      does not promise this; -DLATE_SWITCH drops it, and then only N == K is safe.
 *   3. A write whose primary loses its role meanwhile is not acknowledged any more (Redis ends the WAIT).
 *   4. The clocks of node and revoker run at the same rate.
 *   5. A node leaves the registry only when its lease has surely ended.
 * Left out, since it can only end more sessions: that lost revocations are repeated. Trimming of the feed and
 * live connections (the grace) are not modelled.
 */

#ifndef K
#define K 2
#endif
#ifndef N
#define N 1
#endif
#ifndef L
#define L 1 /* the lease, in ticks */
#endif
#ifndef FAILOVERS
#define FAILOVERS 1
#endif
#ifndef OTHERS
#define OTHERS 0 /* other people's revocations */
#endif
/* What is to be proven reachable: the run then fails at note(). */
#if defined(SHOW_HIT)
#define SHOW (what == hit)
#elif defined(SHOW_FILLED)
#define SHOW (what == filled)
#elif defined(SHOW_PROOF)
#define SHOW (what == proven)
#elif defined(SHOW_BY_ACKNOWLEDGEMENT)
#define SHOW (what == by_acknowledgement)
#elif defined(SHOW_BY_LEASE)
#define SHOW (what == by_lease)
#else
#define SHOW false
#endif

#define SERVERS (K + 1)
#define NOBODY  SERVERS

/* --- the store */

/* Tokens of feed entries: two revocations that do not concern the session; and, from OURS on, the one that does.
 * Written again after a failover, that is another entry. */
#define OTHER   1
#define ANOTHER 2
#define OURS    3

typedef Server {
    byte feed[3];       /* tokens by sequence number; 0: no entry yet */
    byte length;
    bool registered;    /* the node is in the registry */
    byte acknowledged;  /* the sequence number that the node says it has applied */
    byte follows;       /* itself: it thinks that it is the primary */
    bool linked         /* a replica that has caught up with its primary's history at least once */
};
Server server[SERVERS];
byte leader;            /* whom the last failover made primary */
byte failovers;

/* A write in flight and the replicas (bits) that hold it: what WAIT counts. */
typedef Write { bool open; byte at; byte held };
Write renewal, proof, order;

#define ours(token)  (token >= OURS)
#define our_token(x) (OURS + failovers * SERVERS + x)
#define primary(x)   (server[x].follows == x)
#define revoked(x)   (ours(server[x].feed[0]) || ours(server[x].feed[1]) || ours(server[x].feed[2]))
#define number(x)    (ours(server[x].feed[0]) -> 1 : (ours(server[x].feed[1]) -> 2 : 3))
#define copies(w)    ((w.held & 1) + ((w.held >> 1) & 1) + ((w.held >> 2) & 1))
#if N == 1 && K <= 2
#define mark(r) 1 /* one is enough, no matter which */
#else
#define mark(r) (1 << r)
#endif
#define up_to_date(x) (x != leader && server[x].follows == leader && server[x].linked)

/* Stands for the replication offset: each write raises one of these. */
#define written_by(x) (server[x].length + server[x].registered + server[x].acknowledged)
#define ahead(x, y)   (!up_to_date(y) || written_by(x) >= written_by(y))

/* Any server of which a condition holds; blocks while there is none. */
#if K == 2
#define any(x, which) if :: which(0) -> x = 0 :: which(1) -> x = 1 :: which(2) -> x = 2 fi
#define eligible      (up_to_date(0) + up_to_date(1) + up_to_date(2))
#define promotable(x) (up_to_date(x) && ahead(x, 0) && ahead(x, 1) && ahead(x, 2))
#else
#define any(x, which) if :: which(0) -> x = 0 :: which(1) -> x = 1 fi
#define eligible      (up_to_date(0) + up_to_date(1))
#define promotable(x) (up_to_date(x) && ahead(x, 0) && ahead(x, 1))
#endif
#define replica(x)    (!primary(x))
#define stray(x)      (x != leader && server[x].follows != leader)

inline append(x, token) {
    server[x].feed[server[x].length] = token;
    server[x].length++
}

inline written(w, x) {
    w.open = true;
    w.at = x;
    w.held = 0
}

inline forget(w) {
    w.open = false;
    w.at = NOBODY;
    w.held = 0
}

/* --- the node and the revoker, as far as others see them */

byte applied[3];        /* the node's log: tokens of the entries that it applied */
byte seen;              /* how many */
bool joined;            /* it follows the feed, from where that ended when it came */
bool told;              /* it was told that the session ended */
bool cached;            /* the session is in the cache */
bool spoilt;            /* something that forbids keeping the current read was applied since it began */
byte leased_by = NOBODY; /* the primary on which a renewal was last acknowledged */
byte left;              /* ticks for which the lease still holds */
byte tail, token;       /* the end of the feed as the renewal found it */
byte age;               /* ticks since the moment before the renewal was sent */
byte reading = NOBODY;  /* the primary that answers the current read; nobody if a replica does, or a reign ended */

bool counting;
byte waited;            /* ticks since the moment from which the revoker counts the lease */
bool confirmed;

mtype = { nothing, hit, filled, proven, by_acknowledgement, by_lease };
mtype event = nothing;

inline note(what) {
    event = what;
    assert(!(SHOW));
    event = nothing
}

inline accept(how) {
    assert(!began_after_confirmed);
    note(how)
}

/* Whether a server's feed holds the node's last entry: same number, same token. */
#ifdef PUBSUB
#define knows_us(x) true
#define has_applied(count, token) true
#else
#ifdef BY_NUMBER
#define knows_us(x) (server[x].length >= seen)
#else
#define knows_us(x) (seen == 0 || server[x].feed[seen - 1] == applied[seen - 1])
#endif
#if defined(BY_NUMBER) || defined(TAIL_BY_NUMBER)
#define has_applied(count, token) (seen >= count)
#else
#define has_applied(count, token) (count == 0 || applied[count - 1] == token)
#endif
#endif

#ifdef UNCHAINED
#define news(x)    (joined && server[x].length > seen)
#else
#define news(x)    (joined && (!knows_us(x) || server[x].length > seen))
#endif
#define unaware(x) (primary(x) && seen > 0 && knows_us(x) && server[x].acknowledged < seen)

inline end_renewal() {
    forget(renewal);
    age = 0;
    tail = 0;
    token = 0
}

/* The store does not hold what the node applied: trust nothing, begin anew from this store's feed. */
inline start_over(x) {
    cached = false;
    left = 0;
#ifndef RESET_KEEPS_RENEWAL
    end_renewal(); /* one in flight brings no lease */
#endif
#ifndef RESET_KEEPS_FILL
    spoilt = true;
#endif
    applied[0] = server[x].feed[0];
    applied[1] = server[x].feed[1];
    applied[2] = server[x].feed[2];
    seen = server[x].length
}

inline role_changed(x) {
#ifndef BY_PROCESS
    if :: reading == x -> reading = NOBODY :: else fi;
    if :: leased_by == x -> leased_by = NOBODY :: else fi;
#endif
    if :: renewal.at == x -> renewal.at = NOBODY :: else fi;
    if :: proof.at == x -> proof.at = NOBODY :: else fi;
    if :: order.at == x -> order.at = NOBODY :: else fi
}

/* --- what the store does */

inline copy(r, p) {
    server[r].feed[0] = server[p].feed[0];
    server[r].feed[1] = server[p].feed[1];
    server[r].feed[2] = server[p].feed[2];
    server[r].length = server[p].length;
    server[r].registered = server[p].registered;
    server[r].acknowledged = server[p].acknowledged;
    server[r].linked = true;
    if :: renewal.at == p -> renewal.held = renewal.held | mark(r) :: else fi;
    if :: proof.at == p -> proof.held = proof.held | mark(r) :: else fi;
    if :: order.at == p -> order.held = order.held | mark(r) :: else fi
}

inline follow(r, p) {
#ifdef LATE_SWITCH
    skip
#else
    if
    :: server[r].follows == leader && r != leader -> server[r].follows = p
    :: else
    fi
#endif
}

proctype Replication() {
    byte r;
    do
    :: d_step { any(r, replica); copy(r, server[r].follows); r = 0 }
    od
}

proctype Failover() {
    byte x;
    do
    :: atomic {
        failovers < FAILOVERS && eligible >= K - N + 1 ->
        any(x, promotable);
        d_step {
            follow(0, x);
            follow(1, x);
#if K == 2
            follow(2, x);
#endif
            server[x].follows = x;
            leader = x;
            failovers++;
            role_changed(x);
            x = 0
        }
       }
    :: atomic { /* the old primary, or with LATE_SWITCH a replica, is told whom to follow */
        any(x, stray);
        d_step {
            if :: primary(x) -> role_changed(x) :: else fi;
            server[x].follows = leader;
            server[x].linked = false;
            x = 0
        }
       }
    od
}

proctype Others() {
    byte x;
#if OTHERS > 0
    atomic { any(x, primary); append(x, OTHER); x = 0 }
#endif
#if OTHERS > 1
    atomic { any(x, primary); append(x, ANOTHER); x = 0 }
#endif
}

proctype Clock() {
    do
    :: d_step {
        left > 0 || (renewal.open && age < L) || (counting && waited < L) ->
        if :: left > 0 -> left-- :: else fi;
        if :: renewal.open && age < L -> age++ :: else fi;
#ifndef FROM_ANSWER
        if :: age == L -> end_renewal() :: else fi; /* it would bring nothing any more */
#endif
        if :: counting && waited < L -> waited++ :: else fi
       }
    od
}

/* --- the node: keeping the lease */

#if defined(NO_WAIT) || defined(LEASE_WITHOUT_WAIT) || defined(RENEWED_BY_READ)
#define LEASE_ACKS 0
#else
#define LEASE_ACKS N
#endif

proctype Lease() {
    byte x;
    do
    :: atomic { /* the script: write to the registry, learn the feed's tail */
        !renewal.open ->
        any(x, primary);
        if
        :: joined && !knows_us(x) -> start_over(x)
        :: else ->
           if
           :: !joined -> start_over(x); joined = true
           :: else
           fi;
#ifndef RENEWED_BY_READ
           if
           :: !server[x].registered -> server[x].registered = true
           :: else
           fi;
#endif
           tail = server[x].length;
           if :: tail > 0 -> token = server[x].feed[tail - 1] :: else fi;
           written(renewal, x)
        fi;
        x = 0
       }
    :: atomic { /* the replicas hold it, and everything up to that tail is applied */
        renewal.open && copies(renewal) >= LEASE_ACKS && has_applied(tail, token) ->
#ifdef FROM_ANSWER
        age = 0;
#endif
        if :: L - age > left -> left = L - age :: else fi;
        leased_by = renewal.at;
        end_renewal()
       }
    :: atomic { /* the replicas hold it, and not everything is applied yet */
        renewal.at != NOBODY && copies(renewal) >= LEASE_ACKS && leased_by != renewal.at ->
        leased_by = renewal.at
       }
    :: atomic { renewal.open -> end_renewal() } /* no answer in time */
    od
}

/* --- the node: following the feed */

proctype Follower() {
    byte x;
    do
    :: atomic { /* the next entry, from whichever server the connection ends at */
        any(x, news);
        if
#ifndef UNCHAINED
        :: !knows_us(x) -> start_over(x)
#endif
        :: else ->
           if
           :: ours(server[x].feed[seen]) -> told = true; cached = false; spoilt = true
           :: else
           fi;
           applied[seen] = server[x].feed[seen];
           seen++
        fi;
        x = 0
       }
    :: atomic { /* the acknowledgement, refused by a store that does not hold that entry */
        any(x, unaware);
        server[x].acknowledged = seen;
        x = 0
       }
    od
}

/* --- the node: requests */

/* A request that began before the confirmation is followed only as far as it can fill the cache. */
#ifdef SHOW_PROOF
#define interesting(began_late) true
#else
#define interesting(began_late) began_late
#endif
/* A server that answers no is not worth following either. */
#define readable(x) (!revoked(x))

/* Which answers count under the lease: what the server says that acknowledged it, unless the node was told that
 * the session ended. That memory has no end here, and would hide what other rules are good for; so there is
 * another sound rule, without it, to look at them by: the server that answers knows how far the node is. */
#ifdef READ_BY_POSITION
#define counts known
#elif defined(READ_UNCHECKED)
#define counts (!told)
#elif defined(FORGETFUL)
#define counts (reading != NOBODY && reading == leased_by)
#else
#define counts (reading != NOBODY && reading == leased_by && !told)
#endif

proctype Requests() {
    bool began_after_confirmed, known;
    byte x;
    do
    :: atomic { cached && left > 0 ->
        began_after_confirmed = confirmed;
        accept(hit);
        began_after_confirmed = false
       }
    :: atomic { !cached || (left == 0 && interesting(confirmed)) ->
        any(x, readable);
        began_after_confirmed = confirmed;
        spoilt = false;
#ifdef READ_BY_POSITION
        known = knows_us(x);
#endif
#ifdef BY_PROCESS
        reading = x;
#else
        if :: primary(x) -> reading = x :: else fi;
#endif
        x = 0
       }
       /* the answer comes */
       if
       :: atomic { left > 0 && counts && !spoilt -> cached = true; accept(filled); goto done }
#ifdef KEEP_FILL
       :: atomic { left > 0 && counts && spoilt -> cached = true; goto done }
#endif
#if defined(PLAIN_READ) || N == K /* whatever was confirmed is on every server */
       :: atomic { left == 0 && interesting(began_after_confirmed) -> accept(proven); goto done }
#elif defined(PROOF_ELSEWHERE)
       :: atomic { left == 0 && interesting(began_after_confirmed) -> any(x, primary); written(proof, x); x = 0 }
#else /* no lease: the proof, a write to the primary that answered */
       :: atomic { left == 0 && interesting(began_after_confirmed) && reading != NOBODY && primary(reading) ->
           written(proof, reading)
          }
#endif
       :: goto done
       fi;
       if
       :: atomic { copies(proof) >= K - N -> accept(proven) }
       :: goto done
       fi;
done:  atomic {
        forget(proof);
        reading = NOBODY;
        known = false;
        spoilt = false;
        began_after_confirmed = false
       }
    od
}

/* --- the revoker */

#if defined(NO_WAIT) || defined(REVOKED_WITHOUT_WAIT)
#define ORDER_ACKS 0
#else
#define ORDER_ACKS N
#endif

#define acknowledged_at(x) (server[x].acknowledged >= number(x))

proctype Revoker() {
    byte x;
    bool awaited;
again:
    atomic { /* the script; repeated, it finds the entry but writes nevertheless */
        any(x, primary);
        written(order, x);
        if
        :: !revoked(x) -> append(x, our_token(x))
        :: else ->
#ifdef REPEAT_WITHOUT_WRITE
           order.held = 7; /* WAIT finds nothing to wait for */
#endif
           skip
        fi;
        awaited = server[x].registered;
        x = 0;
#ifdef FROM_FIRST_ATTEMPT
        counting = true
#endif
    }
    if
    :: atomic { copies(order) >= ORDER_ACKS -> counting = true }
    :: atomic { forget(order); awaited = false; goto again }
    fi;
    atomic {
        if
        :: !awaited -> confirmed = true; note(by_acknowledgement)
        :: order.at != NOBODY && acknowledged_at(order.at) -> confirmed = true; note(by_acknowledgement)
        :: waited >= L -> confirmed = true; note(by_lease)
        fi;
        forget(order);
        counting = false;
        waited = 0;
        awaited = false
    }
}

init {
    byte i;
    atomic {
        for (i : 0 .. K) {
            server[i].linked = true; /* and follows 0, the primary */
#ifndef NEW_NODE
            server[i].registered = true
#endif
        }
#ifndef NEW_NODE
        joined = true;
#endif
        i = 0;
        forget(renewal);
        forget(proof);
        forget(order);
        run Revoker(); /* the wrong designs are found soonest when what runs last in this list moves first */
        run Requests();
        run Follower();
        run Lease();
        run Clock();
        run Others();
        run Failover();
        run Replication()
    }
}
