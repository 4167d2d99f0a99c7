"""A shopping cart in three versions, one of which goes on with the cart of another.

Everything reaches a cart by one ref, ``main``: what its customer does, the time-out of a cart that nobody touches, and
the request to upgrade. Version 1.0 reminds the customer once. It can be upgraded: it ends, and leaves the contents of
the cart to version 1.1, which reminds once more, with a discount. Version 2.0 reminds over another channel, and takes
over no cart of a 1.x. A cart that stays untouched after the last reminder, or has no address to remind, is abandoned.

Started by a record of ``workflow-resume``: ``new:{"workflow": "ecommerce-versioned", "version": {"major": 1, "minor":
0, "patch": 0}, "kind": "start", "bookingId": "cart-1", "payload": {"abandonedCartTimeoutMS": 10000}}``, and told
what to do by records like ``{"ref": "main", "value": {"type": "updateEmail", "email": "ann@example.com"}}``.
"""

from __future__ import annotations

from typing import Any

from examples.kafka_workflow.workflow_versioning_demo import (
    MANAGER_TOPICS,
    UPGRADE_TOPICS,
    Handoff,
    Start,
    UpgradeManager,
    UpgradeRequest,
    Version,
    Wire,
    can_reuse,
    handoff,
    require_upgrade,
    upgrade_manager,
)
from holdfast import WorkflowContext, workflow

WORKFLOW = "ecommerce-versioned"
V1_0 = Version(major=1, minor=0, patch=0)
V1_1 = Version(major=1, minor=1, patch=0)
V2_0 = Version(major=2, minor=0, patch=0)

REMINDERS = ["ecommerce-reminder", "ecommerce-discount-reminder", "ecommerce-v2-reminder"]
TOPICS = ["checkoutError", "getCart", "workflow-scheduler", *REMINDERS, *UPGRADE_TOPICS, *MANAGER_TOPICS]
TIMEOUT = '{"ref":"main","value":{"type":"timeout"}}'


class EcommerceInput(Wire):
    """How long a cart may be left alone."""

    abandoned_cart_timeout_ms: int = 10_000


class Item(Wire):
    """Some pieces of a product."""

    product_id: str
    quantity: int


class Snapshot(Wire):
    """All that the next version needs to go on with a cart."""

    config: EcommerceInput
    items: tuple[Item, ...] = ()
    email: str = ""
    reminder_stage: int = 0
    discount_code: str | None = None


Ending = dict[str, Any] | str
"""How a cart ends: checked out, left to the next version, or abandoned."""


class Cart:
    """What all versions do with a cart."""

    version: Version

    def __init__(self, ctx: WorkflowContext, state: Snapshot) -> None:
        self.ctx = ctx
        self.config = state.config
        self.quantities = {item.product_id: item.quantity for item in state.items}
        self.email = state.email
        self.reminders = state.reminder_stage
        self.discount_code = state.discount_code

    async def shop(self) -> Ending:
        """Do what commands ask for until the cart ends."""
        while True:
            ending = self.obey(await self.next_command())
            if ending is not None:
                return ending

    async def next_command(self) -> object:
        """Wait for what comes first, a command or the time-out."""
        timer = f"{self.ctx.thread_key}|{TIMEOUT}"
        self.ctx.output("workflow-scheduler", str(self.config.abandoned_cart_timeout_ms), key=timer)
        command: object = await self.ctx.ref_id("main")
        if command != {"type": "timeout"}:
            self.ctx.output("workflow-scheduler", "0", key=timer)
        return command

    def obey(self, command: object) -> Ending | None:
        """Do what a command asks for; what is no known command changes nothing."""
        match command:
            case {"type": "addToCart", "item": {"productId": str(product), "quantity": int(quantity)}}:
                self.quantities[product] = self.quantities.get(product, 0) + quantity
            case {"type": "removeFromCart", "item": {"productId": str(product), "quantity": int(quantity)}}:
                self.remove(product, quantity)
            case {"type": "updateEmail", "email": str(email)}:
                self.email = email
            case {"type": "getCart"}:
                self.ctx.output_json("getCart", self.contents())
            case {"type": "checkout"} if self.may_check_out():
                return {"version": self.version, "email": self.email, "items": self.items(), **self.extras()}
            case {"type": "timeout"} if not self.email or not self.reminds():
                return "abondoned"
        return None

    def remove(self, product: str, quantity: int) -> None:
        """Take pieces of a product out."""
        if product in self.quantities:
            self.quantities[product] -= quantity
            if self.quantities[product] <= 0:
                del self.quantities[product]

    def items(self) -> tuple[Item, ...]:
        """List what is in the cart."""
        return tuple(Item(product_id=product, quantity=quantity) for product, quantity in self.quantities.items())

    def may_check_out(self) -> bool:
        """Say whether the cart can be checked out, and tell the customer if it cannot."""
        missing = "email" if not self.email else "items" if not self.quantities else None
        if missing:
            self.ctx.output("checkoutError", f"Must have {missing} to check out!")
        return missing is None

    def snapshot(self) -> Snapshot:
        """Write down the state of the cart."""
        return Snapshot(
            config=self.config,
            items=self.items(),
            email=self.email,
            reminder_stage=self.reminders,
            discount_code=self.discount_code,
        )

    def reminds(self) -> bool:
        """Remind the customer, unless that has been done; says whether it did."""
        if self.reminders >= 1:
            return False
        self.reminders = 1
        self.ctx.output("ecommerce-reminder", self.email)
        return True

    def contents(self) -> Snapshot | dict[str, Any]:
        """Show the cart to whoever asks."""
        return self.snapshot()

    def extras(self) -> dict[str, Any]:
        """Give what the result says beside the contents: the discount, if there is one."""
        return {} if self.discount_code is None else {"discountCode": self.discount_code}


class CartV1_0(Cart):  # noqa: N801 - the version is its name
    """A cart that can be upgraded."""

    version = V1_0

    def __init__(self, ctx: WorkflowContext, start: Start[EcommerceInput]) -> None:
        super().__init__(ctx, Snapshot(config=start.payload))
        self.start = start

    async def shop(self) -> Ending:
        """Announce that it can be upgraded, and do what commands ask for."""
        self.ctx.output_json("versioning-await-upgrade", {"ref": "main", "currentVersion": self.version})
        return await super().shop()

    def obey(self, command: object) -> Ending | None:
        """Do what a command asks for; what says to which version to upgrade is a request to do so."""
        match command:
            case {"targetVersion": dict()}:
                return self.upgraded(UpgradeRequest.model_validate(command))
        return super().obey(command)

    def upgraded(self, request: UpgradeRequest) -> dict[str, Any]:
        """Leave the cart to the next version."""
        target = require_upgrade(self.version, request).target_version
        self.ctx.output_json("versioning-handoff", handoff(self.start, self.version, target, self.snapshot(), []))
        left = {"items": self.items(), "email": self.email, "reminderStage": self.reminders}
        return {"status": "upgraded", "fromVersion": self.version, "toVersion": target, **left}


class CartV1_1(Cart):  # noqa: N801 - the version is its name
    """A cart with a second reminder, that has a discount in it."""

    version = V1_1

    def reminds(self) -> bool:
        """Remind the customer, the second time with a discount."""
        if self.reminders != 1:
            return super().reminds()
        self.reminders = 2
        self.discount_code = self.discount_code or "SAVE10"
        self.ctx.output_json("ecommerce-discount-reminder", {"email": self.email, "code": self.discount_code})
        return True


class CartV2_0(Cart):  # noqa: N801 - the version is its name
    """A cart with a reminder over another channel."""

    version = V2_0

    def reminds(self) -> bool:
        """Remind the customer once, by a text message."""
        if self.reminders:
            return False
        self.reminders = 1
        self.ctx.output_json("ecommerce-v2-reminder", {"email": self.email, "channel": "sms"})
        return True

    def contents(self) -> dict[str, Any]:
        """Show the cart in the form of this version."""
        shown = {"config": self.config, "items": self.items(), "email": self.email}
        return {**shown, "reminderSent": bool(self.reminders)}

    def extras(self) -> dict[str, Any]:
        """Name the channel."""
        return {"channel": "v2"}


def cart_of(ctx: WorkflowContext, envelope: Start[EcommerceInput] | Handoff[Snapshot]) -> Cart:
    """Make the cart that an envelope asks for: a new one of some version, or one that version 1.0 has left.

    Raises:
        ValueError: No version takes it.
    """
    version = envelope.version
    if version.major not in (V1_0.major, V2_0.major):
        raise ValueError(f"unsupported major version {version}")
    if isinstance(envelope, Start):
        if version.major == V2_0.major:
            return CartV2_0(ctx, Snapshot(config=envelope.payload))
        if version.minor == V1_0.minor:
            return CartV1_0(ctx, envelope)
        return CartV1_1(ctx, Snapshot(config=envelope.payload))
    if version.major == V2_0.major:
        raise ValueError("major 2 does not reuse major 1 handoffs")
    if not can_reuse(envelope.payload.from_version, version):
        raise ValueError(f"cannot reuse {envelope.payload.from_version} in {version}")
    return CartV1_1(ctx, envelope.payload.input)


@workflow(name="workflow-ecommerce-versioned", outputs=TOPICS)
async def entry(
    ctx: WorkflowContext, envelope: Start[EcommerceInput] | Handoff[Snapshot] | UpgradeManager
) -> dict[str, Any] | str:
    """Run whatever an envelope asks for: a cart of some version, or the upgrade manager."""
    if isinstance(envelope, UpgradeManager):
        return await upgrade_manager(ctx, envelope)
    if envelope.workflow != WORKFLOW:
        raise ValueError(f"unsupported workflow {envelope.workflow}")
    return await cart_of(ctx, envelope).shop()


workflows = [entry]
