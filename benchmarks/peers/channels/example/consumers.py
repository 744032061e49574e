from channels.generic.websocket import AsyncJsonWebsocketConsumer


class UsersConsumer(AsyncJsonWebsocketConsumer):
    groups = ["users"]

    async def connect(self):
        if not self.scope["user"].is_authenticated:
            await self.close()
            return
        await self.accept()
        await self.tell(True)

    async def disconnect(self, code):
        if self.scope["user"].is_authenticated:
            await self.tell(False)

    async def tell(self, is_logged_in):
        status = {"username": self.scope["user"].username, "is_logged_in": is_logged_in}
        await self.channel_layer.group_send("users", {"type": "user.status", "status": status})

    async def user_status(self, event):
        await self.send_json(event["status"])
