"""Complete and sparse examples of every statement, for any test that needs a valid one.

`BODIES` has one complete body a struct (all optional fields given, all facts known), keyed `kind` or `kind.phase`.
`sparse(body)` is the other end: no optional field, no fact known. `header()` makes a header, `payload(key)` bytes.
Digests and ids are made from words, so that a failing test says which one it is about: `digest("weights")`.
"""

import base64
import hashlib
from typing import Any

import msgspec

from inbond.schemas import statement
from inbond.schemas import statements as s
from inbond.schemas.canonical import encode
from inbond.schemas.declared import Declared, known, unknown
from inbond.schemas.entry import Envelope, Signature
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import EMPTY_LIST, AccessPath, FlopMethod, Modality, ObjectList, Role

ORIGIN = "registry.example/acme"
TIME = "2026-11-21T09:30:00.250Z"
DAY = "2026-11-20"


def hex32(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def digest(word: str) -> str:
    return "sha256:" + hex32(word)


def hex_id(word: str) -> str:
    return hex32(word)[:32]


def ref(kind: str, word: str = "") -> str:
    return f"{kind}:{hex_id(word or kind)}"


def key64(word: str) -> str:
    return base64.b64encode(hashlib.sha256(word.encode()).digest()).decode()


def lines(word: str, count: int = 3) -> ObjectList:
    return ObjectList(digest=digest(word), root=digest(word + " root"), count=count)


def header(word: str = "header", **changes: Any) -> s.Header:
    """A header with every optional field; `changes` replaces fields."""
    fields: dict[str, Any] = {
        "registry": ORIGIN,
        "id": hex_id(word),
        "seen": s.Seen(size=17, root=digest("root at 17")),
        "occurred": known(s.Occurred(from_=DAY, to=TIME)),
        "basis": s.Basis.DECLARED,
        "asserted_by": s.AssertedBy(party=ref("party")),
        "evidence": (s.Evidence(media="application/pdf", digest=digest("contract"), stored=True),),
        "visibility": s.Visibility.PARTIES,
        "amends": ref("party", "a wrong one"),
        "why": digest("salted reason"),
    }
    return s.Header(**(fields | changes))


def payload(key: str, body: msgspec.Struct | None = None, **changes: Any) -> bytes:
    """The bytes of the example called `key` (or of `body`, of that kind); `changes` replaces header fields."""
    return statement.make(key.partition(".")[0], BODIES[key] if body is None else body, header(key, **changes))


def sparse(value: msgspec.Struct) -> msgspec.Struct:
    """`value` without optional fields and with every fact of its own not known."""
    fields = {}
    for field in msgspec.structs.fields(value):
        item = getattr(value, field.name)
        if isinstance(item, Declared):
            item = unknown()
        elif isinstance(item, msgspec.Struct) and not field.required:
            continue
        elif isinstance(item, msgspec.Struct):
            item = sparse(item)
        if field.required:
            fields[field.name] = item
    for one_of in (s.Key,):
        if isinstance(value, one_of):
            fields["public_key"] = value.public_key
    if isinstance(value, s.Shard):  # of text: one of log-probabilities has no less than all
        fields["kind"] = s.ShardKind.TEXT
    if isinstance(value, s.TermsFact):
        fields["scope"] = s.TermsScope.ANY_MODEL
    return type(value)(**fields)


def _envelope() -> Envelope:
    request = REQUEST
    return Envelope(
        payload=base64.b64encode(encode(request)).decode(),
        payload_type=s.REQUEST_TYPE,
        signatures=(Signature(keyid=hex32("run key"), sig=base64.b64encode(b"s" * 64).decode()),),
    )


REQUEST = s.GrantRequest(
    registry=ORIGIN,
    id=hex_id("request"),
    run=ref("run"),
    columns=("prompt", "response"),
    mode=s.GrantMode.STREAM,
    parts=lines("parts"),
)

_EU_MARKET = s.EuMarket(value=True, as_of=DAY)
_SUMMARY = s.Summary(url="https://openai.example/summary", checked=DAY)
_CONTENT = s.Content(
    modalities=(Modality.TEXT,), types=("source code",), languages=("en", "zh-Hant"), regions=("Western Europe",)
)
_FLAG = known(s.Flag(value=False, tool="scanner 1.2", date=DAY))
_FLAGS = s.Flags(personal=_FLAG, consumer=_FLAG, copyright=_FLAG, trademark=_FLAG, patent=_FLAG, illegal=_FLAG, ai_label=_FLAG)
_EVALUATED = s.Evaluated(facts_size=40, rules=digest("rules"), at=TIME)
_POLICY = s.Policy(evaluated=_EVALUATED, verdict=s.Verdict.PERMITTED, reasons=lines("reasons"), decisions=(ref("decision"),))
_PLAN = s.ReleasePlan(
    name=known("acme/mini"),
    licence=known("Apache-2.0"),
    distributed=known(True),
    hosted=known(False),
    commercial=known(True),
    territories=known(("DE", "EU", "US-CA")),
    classifier_only=known(False),
    mau=known(120_000),
)

BODIES: dict[str, Any] = {
    "genesis": s.Genesis(
        origin=ORIGIN,
        admins=(key64("admin 1"), key64("admin 2")),
        threshold=2,
        log_keys=(f"{ORIGIN}+c0ffee00+{base64.b64encode(b'1' * 33).decode()}",),
        registry_key=key64("registry"),
        operator=s.FirstParty(name="acme", legal_name=known("Acme Models GmbH & Co. KG")),
    ),
    "key": s.Key(
        public_key=key64("producer"),
        fingerprint=hex32("producer"),
        party=ref("party"),
        roles=(Role.PRODUCER, Role.TRAINER),
        custody=s.Custody.HSM,
        not_after="2028-02-29",
        revocation=s.Revocation(reason=s.RevocationReason.COMPROMISED, suspect_from_seq=12),
    ),
    "party": s.Party(legal_name=known("深度求索"), aliases=("deepseek",), domicile=known("CN"), contact=digest("salted contact")),
    "operator": s.Operator(
        party=ref("party"),
        eu_representative=known(ref("party", "representative")),
        sme=known(True),
        code_of_practice_signatory=known(True),
        opt_out_measures=known(digest("opt-out")),
        illegal_content_measures=known(digest("illegal content")),
        policies=(s.OperatorPolicy(name="Copyright", url="https://acme.example/c", digest=digest("copyright policy")),),
        revenue=known(s.Revenue(band="below EUR 10M", as_of=DAY)),
        disclosure_policy=digest("disclosure"),
    ),
    "terms": s.Terms(
        party=ref("party"),
        title="Services Agreement",
        version="2026-01-01",
        applies_to=(s.AppliesTo(models=("gpt-*",), access_path=AccessPath.API),),
        url=known("https://openai.example/terms"),
        text=digest("text"),
        language="en",
        effective=s.Effective(from_="2026-01-01", to=known("2026-12-31")),
        announced=known("2025-12-01"),
        retrieved=TIME,
    ),
    "terms_fact": s.TermsFact(
        terms=ref("terms"),
        clause="3.3(e)",
        scope=s.TermsScope.MODALITY,
        modality=Modality.IMAGE,
        permits_training=s.Permission.CONDITIONAL,
        conditions=(s.Condition(type=s.ConditionType.MAU_THRESHOLD, parameters={"users": 700_000_000, "own": True}),),
        exceptions=(s.TermsException(type=s.ExceptionType.CLASSIFIER, parameters={"share": "0.5"}),),
        temporal_reach=s.TemporalReach.BOTH,
        survives_termination=known(True),
        reaches_recipients=known(False),
        output_ownership=s.OutputOwnership.CUSTOMER,
        student_is_derivative=s.Derivative.AMBIGUOUS,
        grade=s.Grade.PRIMARY,
        reader="counsel",
        read_on=DAY,
    ),
    "acceptance": s.Acceptance(
        terms=ref("terms"),
        party=ref("party"),
        means=s.AcceptanceMeans.ORDER_FORM,
        accepted=known("2026-01-03"),
        ended=known("2026-11-01"),
        account=known(digest("salted account")),
        order_form=digest("order form"),
    ),
    "teacher": s.Teacher(
        party=known(ref("party")),
        model=known("gpt-4o"),
        version=known("2024-05-13"),
        pinned=known(True),
        access_path=known(AccessPath.API),
        weights=known(digest("weights")),
        endpoint=known("https://api.openai.example/v1"),
        base_family=known("gpt-4o"),
        alignment=known(s.Alignment.ALIGNED),
        active_parameters=known(200_000_000_000),
        eu_market=known(_EU_MARKET),
        summary=known(_SUMMARY),
        training_note=known(digest("note")),
        ancestry=known((s.Ancestor(model=ref("teacher", "base"), edge=s.Edge.INITIALISED_FROM, basis=s.Basis.ALLEGED),)),
        same_as_student=ref("student"),
    ),
    "source": s.Source(
        name="no_robots",
        version=known("1.0"),
        url=known("https://data.example/no_robots"),
        owner=known(ref("party")),
        category=s.SourceCategory.PUBLIC,
        licence=known(ref("terms")),
        collected=known(s.Collected(from_="2023-01-01", to="2023-11-10", live=False)),
        acquired=known(DAY),
        sizes=known((s.Size(modality=Modality.TEXT, amount="9.5", unit="MB"),)),
        content=known(_CONTENT),
        crawler=known(s.Crawler(name="bot", purpose="research", behaviour="honours robots.txt", domains=digest("domains"))),
        user_service=known("chat"),
        opt_out_measures=known(digest("measures")),
        flags=known(_FLAGS),
    ),
    "shard": s.Shard(
        kind=s.ShardKind.LOGITS,
        file=digest("file"),
        size=1_048_577,
        block_root=digest("blocks"),
        record_root=digest("records"),
        rows=805,
        tokens=known(s.Tokens(tokenizer=known(digest("tokenizer")), prompt=known(9_001), response=known(88_000))),
        schema_id=digest("schema"),
        codec=s.Codec(
            id="planar",
            version="1",
            parameters={"k": 64, "tail": True},
            vocabulary=151_936,
            tokenizer=digest("tokenizer"),
            logprob_kind=s.LogprobKind.RAW,
            temperature=known("1"),
            truncation=known(s.Truncation(method=s.TruncationMethod.NUCLEUS, parameters={"p": "0.98"})),
        ),
        text_shard=ref("shard", "text"),
        signal=s.Signal.SCORED,
        importer=s.Importer(id="messages", version="1"),
        import_identity=digest("import"),
        ordinal=0,
        inputs=lines("inputs", 1),
        counts=s.ShardCounts(received=807, kept=805, empty=1, rejected={"null_output": 2}),
        derived_from=lines("derived", 1),
        derivation=s.Derivation(tool="dedupe 0.3", config=digest("config")),
        models=(
            s.ShardModel(teacher=ref("teacher"), role=s.ModelRole.LOGITS, rows=known(805)),
            s.ShardModel(teacher=ref("teacher", "judge"), role=s.ModelRole.JUDGE, rows=known(400)),
        ),
        generated=known(s.Generated(first="2024-05-14", last="2024-06-01", live=False)),
        acquired=known(DAY),
        created_by=known(s.CreatedBy.CONTRACTOR),
        supplier=known(ref("party", "supplier")),
        on_behalf=known(s.OnBehalf(contract=digest("contract"))),
        route=known((ref("party", "router"),)),
        jurisdiction=known("US"),
        acceptances=known((ref("acceptance"),)),
        prompts=known(
            (s.PromptSource(source=ref("source"), rows=805, category=s.SourceCategory.PUBLIC, in_training=known(False)),)
        ),
        sampling=known(
            s.Sampling(
                temperature=known("0.7"),
                top_p=known("1"),
                top_k=known(50),
                max_tokens=known(2048),
                seed=known(7),
                other={"repetition_penalty": "1.1", "best_of": 2},
            )
        ),
        generator=known(
            s.Generator(
                tool="curator",
                version=known("0.1.26"),
                config=known(digest("generator config")),
                system_prompt=known(digest("salted system prompt")),
                system_fingerprint=known("fp_44709d6fcb"),
            )
        ),
        output=known(
            s.Output(
                requests=known(810),
                samples=known(820),
                kept=known(805),
                prompt_tokens=known(9_001),
                response_tokens=known(88_000),
                reasoning_tokens=known(0),
                discarded_tokens=known(1_500),
            )
        ),
        compute=known(
            s.Compute(
                flop="3200000000000000000000",
                method=FlopMethod.ARCHITECTURE,
                margin=known("0.3"),
                mwh=known("0.004"),
            )
        ),
        public=known(s.PublicSince(since=DAY, url="https://data.example/outputs")),
        produced_for=known(s.ProducedFor.EVALUATION),
        content=known(_CONTENT),
        flags=_FLAGS,
        processing=known((s.Processing(step="dedupe", tool="minhash", purpose="quality", removed=15),)),
    ),
    "dataset": s.Dataset(
        policy=known(_POLICY),
        name="mix",
        version="1",
        parts=lines("parts"),
        counts=s.DatasetCounts(shards=3, rows=2_400, tokens=known(300_000), splits={"train": 2_000, "test": 400}),
        purpose=known("instruction tuning"),
        licence=known(ref("terms")),
        previous=ref("dataset", "before"),
    ),
    "student": s.Student(
        id="acme/mini",
        version="1",
        initialised_from=(
            s.InitialisedFrom(
                model=ref("teacher", "base"),
                weights=known(digest("base weights")),
                relation=s.Relation.FINETUNE,
                training_flop=known("1.5"),
                terms=known(ref("terms")),
                eu_market=known(_EU_MARKET),
                summary=known(_SUMMARY),
            ),
        ),
        purpose=known("assistant"),
        release_plan=_PLAN,
    ),
    "run.open": s.RunOpen(
        name="mini-sft-1",
        student=ref("student"),
        stage=s.Stage.SFT,
        use_kind=s.UseKind.SFT,
        loss_on=s.LossOn.RESPONSE,
        plan=s.Plan(sources=(s.PlanSource(dataset=ref("dataset"), split="train", weight="0.25"),), order="seq-1", seed=42),
        run_key=key64("run key"),
        code=known(digest("code")),
        config=known(digest("config")),
        initial_weights=known(digest("initial")),
    ),
    "run.close": s.RunClose(
        student=ref("student"),
        run=ref("run"),
        outcome=s.Outcome.RELEASED,
        inputs=lines("run inputs"),
        inputs_complete=known(True),
        checkpoints=(digest("checkpoint 1"),),
        flop=known("90000000000000000000"),
        mwh=known("0.25"),
    ),
    "live_use": s.LiveUse(
        run=ref("run"),
        models=(s.LiveModel(teacher=ref("teacher", "judge"), role=s.ModelRole.JUDGE),),
        requests=known(1_000),
        tokens=known(90_000),
        acceptances=known((ref("acceptance"),)),
    ),
    "grant": s.Grant(
        request=_envelope(),
        student=ref("student"),
        run=ref("run"),
        plan=digest("plan"),
        parts=lines("parts"),
        columns=("prompt", "response"),
        mode=s.GrantMode.STREAM,
        principal=ref("party"),
        evaluated=_EVALUATED,
        verdict=s.Verdict.PERMITTED_WITH_OBLIGATIONS,
        reasons=lines("reasons"),
        obligations=EMPTY_LIST,
        decisions=(ref("decision"),),
        expires=TIME,
        report_by="2026-12-21",
    ),
    "consume": s.Consume(
        grant=ref("grant"),
        run=ref("run"),
        sequence=3,
        previous=ref("consume", "2"),
        epoch=1,
        first=2_000,
        last=2_500,
        columns=s.ConsumedColumns.TEXT,
        rows=500,
        tokens=known(60_000),
        loss_tokens=known(55_000),
        dropped=1,
        state=s.ConsumeState.COMMITTED,
        checkpoint=digest("checkpoint 1"),
    ),
    "delivery": s.Delivery(
        policy=known(_POLICY),
        object=ref("dataset"),
        recipient=known(ref("party", "customer")),
        channel=s.Channel.HUB,
        purpose=known("evaluation"),
        grant=ref("grant"),
        extent=s.Extent.ROWS,
    ),
    "release": s.Release(
        student=ref("student"),
        weights=digest("weights"),
        runs=(s.ReleasedRun(run=ref("run"), checkpoint=digest("checkpoint 1")),),
        merged_from=(ref("student", "other"),),
        released=TIME,
        eu_market=known(DAY),
        actual=_PLAN,
        channels=("hub",),
        parameters=known(1_100_000_000),
        modalities=(Modality.TEXT,),
        flop=known(
            s.ReleaseFlop(
                direct="90000000000000000000",
                cumulative=known("93200000000000000000"),
                method=FlopMethod.HARDWARE,
                margin=known("0.1"),
            )
        ),
        mau=known(s.Users(count=10, as_of=DAY)),
        continuous=known(False),
        policy=known(_POLICY),
        obligations=lines("obligations"),
    ),
    "decision.ask": s.DecisionAsk(
        question=s.Question.AUTHORISATION,
        subjects=(ref("student"), ref("terms")),
        scope="training",
        from_=DAY,
        until=known("2027-11-20"),
        grounds=digest("salted grounds"),
        authoriser=known(ref("party", "provider")),
    ),
    "decision.rule": s.DecisionRule(
        ask=ref("decision"),
        question=s.Question.AUTHORISATION,
        subjects=(ref("student"), ref("terms")),
        ruling=s.Ruling.PERMIT,
        scope="training",
        from_=DAY,
        until=known("2027-11-20"),
        grounds=digest("salted grounds of the ruling"),
        authoriser=known(ref("party", "provider")),
    ),
    "recall": s.Recall(
        targets=lines("targets"),
        category=s.RecallCategory.PERSONAL_DATA,
        known=DAY,
        effective=TIME,
        action=s.RecallAction.DELETE,
        deadline="2026-12-31",
        replacement=ref("shard", "replacement"),
    ),
    "ack": s.Ack(recall=ref("recall"), action=s.AckAction.STOPPED),
    "erasure": s.Erasure(
        targets=lines("targets"),
        legal_basis="GDPR Art. 17(1)(b)",
        copies=(s.Copy(place="backup of November", destroyed=known(True)),),
    ),
    "report": s.Report(
        releases=(ref("release"),),
        template=s.Template(id="eu-53-1-d", version="2025-07-24", digest=digest("template")),
        profile=s.Profile.AUTHORITY,
        recipient=known(ref("party", "authority")),
        request=s.ReportRequest(reference="AIO-2026-17", legal_basis="Art. 91"),
        tree_size=120,
        renderer=digest("renderer"),
        options=digest("options"),
        model=digest("model"),
        commitments=digest("commitments"),
        salts_custody="operator's store",
        renderings=(s.Rendering(media="application/pdf", digest=digest("pdf")),),
        gaps=EMPTY_LIST,
        approved_by=ref("party"),
        published=s.Published(url="https://acme.example/report", at=TIME),
        supersedes=ref("report", "before"),
    ),
}

VARIANTS: dict[str, Any] = {
    **BODIES,
    **{f"{key}/sparse": sparse(body) for key, body in BODIES.items()},
    "key/vkey": msgspec.structs.replace(
        BODIES["key"],
        public_key=msgspec.UNSET,
        vkey=f"{ORIGIN}+0badcafe+{base64.b64encode(b'2' * 33).decode()}",
        roles=(Role.LOG,),
    ),
}
"""`BODIES`, each also sparse, and the other form of a key."""

assert {key.partition(".")[0] for key in BODIES} == set(KINDS)
